/** Signatures on which verifiers disagree, one of each class, in hex. Made by scripts/embed.js. */
export const SELF_TEST = [
  {
    what: 'valid',
    key: '9ccfe4911b485560990ba48c20fc07b40f0805c26664dd98c867d36c0a9dae39',
    message: '',
    signature: '37285765143dc0515fa280e6edc1609c9c22f5b74c353c0c3344f257463a16f9'
      + '808675851fcbe764ff1944a11027473445071fb89831a6f08edf3b03a9dfde0b',
    verifies: true,
  },
  {
    what: 'bit-flip-signature',
    key: '9ccfe4911b485560990ba48c20fc07b40f0805c26664dd98c867d36c0a9dae39',
    message: '696e766f6b652d6c6f673a206f6e65206269742061776179',
    signature: '80f72672384fd6b93e2c8854cd549a1669f448d08d07f9bf07664288e451b1ef'
      + '6cc90f8e3046eaf01a4c30a9200d7ba503a388e16d94117c34e329a69e103f0e',
    verifies: false,
  },
  {
    what: 's-not-reduced',
    key: '5012ac9ec34fbf78df5a790c072be583059242a501fccf65763d5f35d4099598',
    message: '7363616c61722030',
    signature: '6ccc0fd0aeee40d164bab40dbbaad49d4097b0b4bf7092aa67e6e49c452b24e9'
      + 'f42a063f7c81e2d1ba00235c71bfa30d27ff7f55dd126fae36f7029d61d9ae18',
    verifies: false,
  },
  {
    what: 'r-identity',
    key: '450de0ff98f927bff4f02a7b9dcedbf92355e5216c51b81d07e81995621f6192',
    message: '6964656e746974792030',
    signature: '0100000000000000000000000000000000000000000000000000000000000000'
      + '49855e555201e140a25c12d6c16f52a6da8f827d8aab44375aa6322b7119bf06',
    verifies: false,
  },
  {
    what: 'r-cofactored-only-8',
    key: '450de0ff98f927bff4f02a7b9dcedbf92355e5216c51b81d07e81995621f6192',
    message: '746f7273696f6e',
    signature: 'e31bf514eb41af934cdb61a8ae588b29deeaf21be78382d8b9ac13493f1c262e'
      + 'c9827aeba41e52ef72f8ac143e098ce4da2a8ad45f623130aa55d0ae40c7000f',
    verifies: false,
  },
  {
    what: 'key-small-order-8',
    key: 'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a',
    message: '',
    signature: '0100000000000000000000000000000000000000000000000000000000000000'
      + '0000000000000000000000000000000000000000000000000000000000000000',
    verifies: false,
  },
  {
    what: 'key-mixed-order-8',
    key: '811bba03eba11f0d635f34c293074f6692ce86224f0e70e22e852c43e936f1c1',
    message: '7472792034',
    signature: 'ddb332308fa192420a00132d7c6f566c0058711fae5c2939883d141469c47790'
      + '271f61e65a0e5825bfcfd0572e2764b7d3ba7f45cdf54439931f994923461307',
    verifies: false,
  },
];
