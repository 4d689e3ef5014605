/**
 * What gossip says beside the commits themselves, about one repository over one channel: messages of `sync` (`sync/message.ts`) with numbers
 * of their own.
 *
 *     13 have  = ids      commits that the sender holds and did not send; ids by their first 8 bytes, one after the other
 *     14 prune =          a commit came twice: from now on the sender wants to be told of commits, and asks
 *     15 graft = ids      these are wanted, and from now on commits themselves
 */
import { concatBytes, fromHex, toHex } from '../bytes/bytes.ts'
import { limits } from '../bytes/limits.ts'
import type { Plain } from '../bytes/plain.ts'
import { type Refusal, refusal } from '../bytes/refusal.ts'
import { isBytesUpTo, isList } from '../bytes/shape.ts'

export type Announcement =
  /** Ids are 16 hex digits. */
  { readonly kind: 'have' | 'graft'; readonly ids: readonly string[] } | { readonly kind: 'prune' }

const first = 13
const idBytes = 8

export const encodeAnnouncement = (announcement: Announcement): Plain =>
  announcement.kind === 'prune'
    ? [first + 1]
    : [announcement.kind === 'have' ? first : first + 2, concatBytes(...announcement.ids.map(fromHex))]

/** Undefined where it is a message of another kind. */
export const decodeAnnouncement = (message: Plain): Announcement | Refusal | undefined => {
  if (!isList(message, 1, 6)) return undefined
  const [kind, bytes, ...rest] = message
  if (kind === first + 1) return message.length === 1 ? { kind: 'prune' } : refusal('Malformed', 'prune')
  if (kind !== first && kind !== first + 2) return undefined
  if (rest.length > 0 || !isBytesUpTo(bytes, limits.gossipTold * idBytes) || bytes.length % idBytes !== 0)
    return refusal('Malformed', 'ids')
  const ids: string[] = []
  for (let at = 0; at < bytes.length; at += idBytes) ids.push(toHex(bytes.subarray(at, at + idBytes)))
  return { kind: kind === first ? 'have' : 'graft', ids }
}
