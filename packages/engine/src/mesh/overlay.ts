/**
 * What the topology of the mesh takes in and gives out. Sessions are 64 hex digits; there is at most one link with a session. Links
 * are data channels between members; the channel with the server is none of them.
 */

/** What comes in. */
export type TopologyEvent =
  /** The channel with the server opened, or is gone. `session` is the server's. */
  | { readonly kind: 'server here'; readonly session: string }
  | { readonly kind: 'server away' }
  /**
   * The server's answer to `seek`, or its own wish: random members that are here and may read one of our repositories. `members`: how many
   * others it knows of that are here.
   */
  | { readonly kind: 'introduced'; readonly sessions: readonly string[]; readonly members: number }
  /** A link tells with whom it is linked; the server is not among them. */
  | { readonly kind: 'neighbours'; readonly link: string; readonly sessions: readonly string[] }
  /**
   * A member that has the right to asks us to offer, or made an offer. Answered with `accept` or `decline`, or with nothing where our own dial is
   * under way. A linked one is declined: where it is known to have begun anew, `unlinked` comes first.
   */
  | { readonly kind: 'asked'; readonly session: string; readonly lonely: boolean }
  /** A channel with this member is open and bound, whoever wished it. */
  | { readonly kind: 'linked'; readonly session: string }
  /** `dropped`: the other side ended it in words; `gone`: it died or fell silent. Not told of what we dropped ourselves. */
  | { readonly kind: 'unlinked'; readonly session: string; readonly reason: 'dropped' | 'gone' }
  /** The answer to our ask or offer: no room. */
  | { readonly kind: 'busy'; readonly session: string }
  /** No link came of an attempt, ours or theirs. `unanswered`: no signal came back; `unreachable`: signals passed, packets did not. */
  | { readonly kind: 'failed'; readonly session: string; readonly why: 'unanswered' | 'unreachable' }
  /** It withholds, forges, or offends otherwise: not to be linked with for long. */
  | { readonly kind: 'distrusted'; readonly session: string }
  | { readonly kind: 'wake' }

/** What is to be done, in this order. */
export type TopologyEffect =
  /** Ask the server to introduce so many members. */
  | { readonly kind: 'seek'; readonly count: number }
  /**
   * Make an offer (our session id is the smaller one), or ask the other to make one. Signals go by way of `via`: the server's session or a link's.
   * `lonely`: we have no link at all. Answered by `linked`, `busy` or `failed`.
   */
  | { readonly kind: 'dial'; readonly session: string; readonly via: string; readonly lonely: boolean }
  | { readonly kind: 'ask'; readonly session: string; readonly via: string; readonly lonely: boolean }
  /** The answer to `asked`. After `accept` comes `linked` or `failed`. */
  | { readonly kind: 'accept'; readonly session: string }
  | { readonly kind: 'decline'; readonly session: string }
  /** End the link, in words. It counts as gone already. */
  | { readonly kind: 'drop'; readonly session: string }
  /** Tell all links and the server whom we are linked with. */
  | { readonly kind: 'tell'; readonly sessions: readonly string[] }
  /** An event `wake` after so many ms. It replaces the one asked for before; an early or a needless one does no harm. */
  | { readonly kind: 'wake'; readonly after: number }
