/**
 * What the gossip of one repository takes in and gives out. A link is named by the session at its other end; the channel with the server
 * is a link like others, and marked. Ids are 64 hex digits, short ids their first 16.
 */

/** A commit that came over a link. */
export interface Arrival {
  readonly id: string
  /** The session that made it. */
  readonly author: string
  /** It was not held before it came over this link. */
  readonly fresh: boolean
}

/** What comes in. */
export type GossipEvent =
  | { readonly kind: 'linked'; readonly link: string; readonly server: boolean }
  | { readonly kind: 'unlinked'; readonly link: string }
  /** A link tells with whom it is linked; the server is not among them. */
  | { readonly kind: 'neighbours'; readonly link: string; readonly sessions: readonly string[] }
  /** Made here, and to be pushed now: what is made in one tick is one event. */
  | { readonly kind: 'made'; readonly ids: readonly string[] }
  /** What one push brought, once it may be forwarded; what was held already is told as well, with `fresh` false. */
  | { readonly kind: 'received'; readonly link: string; readonly commits: readonly Arrival[] }
  /** Came over a channel that takes no part in gossip. */
  | { readonly kind: 'brought'; readonly commits: readonly Omit<Arrival, 'fresh'>[] }
  /** Held now, and not by a push: reconciliation with `link` brought it. Told to the other links by id. */
  | { readonly kind: 'known'; readonly link?: string; readonly ids: readonly string[] }
  /** The other end says that it has these. */
  | { readonly kind: 'told'; readonly link: string; readonly ids: readonly string[] }
  | { readonly kind: 'pruned'; readonly link: string }
  /** The other end wants these, and what comes next, too. */
  | { readonly kind: 'grafted'; readonly link: string; readonly ids: readonly string[] }
  | { readonly kind: 'wake' }

/** What is to be done, in this order. */
export type GossipEffect =
  /** Full ids; what is not held any more is left out. */
  | { readonly kind: 'push'; readonly link: string; readonly ids: readonly string[] }
  /** Short ids, as in `graft`. */
  | { readonly kind: 'have'; readonly link: string; readonly ids: readonly string[] }
  | { readonly kind: 'prune'; readonly link: string }
  | { readonly kind: 'graft'; readonly link: string; readonly ids: readonly string[] }
  /** This link said again and again that it has what it did not send when asked. Told once a link. */
  | { readonly kind: 'withholds'; readonly link: string }
  /** An event `wake` after so many ms. It replaces the one asked for before; an early or a needless one does no harm. */
  | { readonly kind: 'wake'; readonly after: number }
