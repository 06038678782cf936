"""Providers' own clients under the guard, one module each, imported by whoever uses that client and by nothing else.

Each has the same three parts, as far as its provider offers them:

    once(client)    the client, if nothing below the tool sends a request again; else an error that says what to set
    proofs()        a `with` block in which the client's exceptions become what they prove, and all others stay as they
                    are: the guard calls those unknown
    …_under(…)      a read-back: all of the provider's objects under a tag, or an error where that is not clear

Nothing here decides. What counts as a definite failure is in the contract: a code that it does not list proves nothing.
"""
