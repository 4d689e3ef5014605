import { fromHex, toHex } from '../bytes/bytes.ts'
import { limits } from '../bytes/limits.ts'
import type { Plain } from '../bytes/plain.ts'
import { type Code, catalogue, type Refusal, refusal } from '../bytes/refusal.ts'
import { isBoolean, isBytes, isBytesUpTo, isInteger, isList, isListOf, isMap, isText } from '../bytes/shape.ts'
import type { Position } from '../commit/commit.ts'
import { type Filter, filterBytes, mostTips, saltBytes } from './filter.ts'
import { fingerprintBytes } from './fingerprint.ts'

/**
 * The messages of reconciliation, about one repository over one channel. Each is an array whose first item is its
 * number. One side leads (the one that dialled), the other follows; both may push.
 *
 *   0 hello        fingerprint, count, log position or null, ext
 *                  Both, first. `ext` is an empty map until a later rung fills it.
 *   1 entries      from, [entry...]
 *                  Both, after hello and whenever the authority log grows.
 *   2 filter       round, salt, count, hashes, bits
 *                  The leader opens a round; the follower answers with its own.
 *   3 heads        round, more, [chain, seq, id, chain, seq, id...]
 *                  Tips that missed the other's filter.
 *   4 want         round, more, [[index, seq, id, seq, id...]...]
 *                  Of the heads just listed, those not held, each with places in its chain that the asker holds. The
 *                  follower's may be empty.
 *   5 push         round, last, [index...], [commit...], [certificate...]
 *                  Commits, parents first. `last` ends the answer to a want and lists the wants of which no place is
 *                  known. Round 0 is live.
 *   6 fingerprint  round, fingerprint, moved
 *                  The leader closes a round; the follower answers. `moved`: commits came in from elsewhere since the
 *                  fingerprint before.
 *   7 refused      code, [id...]
 *                  What was sent could not be kept.
 *   8 rest         round
 *                  The leader gives up until something changes.
 *
 * A conversation: hello both ways. Equal fingerprints: silence. One side without commits: the other pushes all it has.
 * Otherwise rounds of
 *
 *   leader    filter ->
 *             <- filter, heads (the follower's tips that missed)
 *             push (where the follower is behind), want (where it is ahead),
 *             heads (tips that the follower has said nothing about) ->
 *             <- push (last); where heads came: push, want (may be empty)
 *             push (last) ->
 *             fingerprint ->
 *             <- fingerprint
 *
 * until the two fingerprints are equal. A want names the asker's tips in that chain. Where the holder knows none of
 * them, it says so, and the asker names places at distance 1, 2, 4, 8 ... and the chain's first; where that does not
 * help either, the whole chain is sent.
 *
 * A chain in `heads` is named by 8 bytes, the first 4 of its session and of its incarnation, and an id by its first 8;
 * when the leader's filter has no bits, all names of the round are whole (40 and 32 bytes), so that nobody gains by
 * mining names that begin alike.
 */
export type Message = Hello | Entries | FilterMessage | Heads | Want | Push | FingerprintMessage | Refused | Rest

export interface Hello {
  readonly kind: 'hello'
  readonly fingerprint: Uint8Array
  readonly count: number
  readonly log: Position | undefined
}

export interface Entries {
  readonly kind: 'entries'
  /** Place of the first of them. */
  readonly from: number
  readonly entries: readonly Uint8Array[]
}

export interface FilterMessage {
  readonly kind: 'filter'
  readonly round: number
  readonly filter: Filter
}

/** A commit by its chain and place: hex, whole or shortened. */
export interface Name {
  readonly chain: string
  readonly seq: number
  readonly id: string
}

export interface Heads {
  readonly kind: 'heads'
  readonly round: number
  readonly more: boolean
  readonly heads: readonly Name[]
}

export interface Place {
  readonly seq: number
  readonly id: string
}

export interface Wanted {
  /** Place in the other's list of heads of this round. */
  readonly index: number
  readonly held: readonly Place[]
}

export interface Want {
  readonly kind: 'want'
  readonly round: number
  readonly more: boolean
  readonly wants: readonly Wanted[]
}

export interface Push {
  readonly kind: 'push'
  readonly round: number
  readonly last: boolean
  readonly unknown: readonly number[]
  readonly commits: readonly Uint8Array[]
  readonly certificates: readonly Uint8Array[]
}

export interface FingerprintMessage {
  readonly kind: 'fingerprint'
  readonly round: number
  readonly fingerprint: Uint8Array
  readonly moved: boolean
}

export interface Refused {
  readonly kind: 'refused'
  readonly code: Code
  readonly ids: readonly string[]
}

export interface Rest {
  readonly kind: 'rest'
  readonly round: number
}

export const shortNameBytes = 8
const chainBytes = 40
const idBytes = 32
const sessionDigits = 64
const mostInteger = 0xffffffff

/**
 * Commits, entries, wants or ids in one message; with their bytes, what keeps it within the frame and the node limit.
 */
export const itemsPerMessage = 8_192
/** Indices and places in one want. */
export const wantItemsPerMessage = 12_000

/** The chain's name in `heads`, in hex. */
export const shortChain = (chain: string): string =>
  chain.slice(0, shortNameBytes) + chain.slice(sessionDigits, sessionDigits + shortNameBytes)

export const shortId = (id: string): string => id.slice(0, 2 * shortNameBytes)

export const encodeMessage = (message: Message): Plain => {
  switch (message.kind) {
    case 'hello': {
      const log = message.log && [message.log.epoch, message.log.n, fromHex(message.log.hash)]
      return [0, message.fingerprint, message.count, log ?? null, new Map()]
    }
    case 'entries':
      return [1, message.from, message.entries]
    case 'filter': {
      const { salt, count, hashes, bits } = message.filter
      return [2, message.round, salt, count, hashes, bits]
    }
    case 'heads':
      return [
        3,
        message.round,
        message.more,
        message.heads.flatMap((head) => [fromHex(head.chain), head.seq, fromHex(head.id)]),
      ]
    case 'want':
      return [
        4,
        message.round,
        message.more,
        message.wants.map((want) => [want.index, ...want.held.flatMap((place) => [place.seq, fromHex(place.id)])]),
      ]
    case 'push':
      return [5, message.round, message.last, message.unknown, message.commits, message.certificates]
    case 'fingerprint':
      return [6, message.round, message.fingerprint, message.moved]
    case 'refused':
      return [7, message.code, message.ids.map(fromHex)]
    case 'rest':
      return [8, message.round]
  }
}

/**
 * The message, or why it is refused. Everything in it is within its limits; whether it belongs here is the machine's to
 * say.
 */
export const decodeMessage = (plain: Plain): Message | Refusal => {
  if (!isList(plain, 1, 6)) return refusal('Malformed', 'a message of reconciliation')
  const kind = plain[0]
  if (!isInteger(kind)) return refusal('Malformed', 'a message of reconciliation')
  const read = readers[kind]
  if (read === undefined) return refusal('UnknownMessage', String(kind))
  return read(plain) ?? refusal('Malformed', `message ${kind}`)
}

type Fields = readonly Plain[]

const isCount = (value: Plain | undefined): value is number => isInteger(value, 0, mostInteger)
const isRound = (value: Plain | undefined): value is number => isInteger(value, 1, mostInteger)
const isByteString = (value: Plain): value is Uint8Array => isBytesUpTo(value, limits.frameBytes)
const isId = (value: Plain): value is Uint8Array => isBytes(value, idBytes)
const isCode = (value: Plain | undefined): value is Code => isText(value, 64) && Object.hasOwn(catalogue, value)

const readHello = (fields: Fields): Hello | undefined => {
  const [, fingerprint, count, log, ext] = fields
  if (fields.length !== 5 || !isBytes(fingerprint, fingerprintBytes) || !isCount(count)) return undefined
  if (!isMap(ext, 0)) return undefined
  if (log === null) return { kind: 'hello', fingerprint, count, log: undefined }
  if (!isList(log, 3, 3)) return undefined
  const [epoch, n, hash] = log
  if (!isCount(epoch) || !isCount(n) || !isBytes(hash, 32)) return undefined
  return { kind: 'hello', fingerprint, count, log: { epoch, n, hash: toHex(hash) } }
}

const readEntries = (fields: Fields): Entries | undefined => {
  const [, from, entries] = fields
  if (fields.length !== 3 || !isCount(from) || !isListOf(entries, 1, itemsPerMessage, isByteString)) return undefined
  return { kind: 'entries', from, entries }
}

const readFilter = (fields: Fields): FilterMessage | undefined => {
  const [, round, salt, count, hashes, bits] = fields
  if (fields.length !== 6 || !isRound(round) || !isBytes(salt, saltBytes)) return undefined
  if (!isCount(count) || !isCount(hashes) || !isBytesUpTo(bits, filterBytes(mostTips))) return undefined
  return { kind: 'filter', round, filter: { salt, count, hashes, bits } }
}

const readHeads = (fields: Fields): Heads | undefined => {
  const [, round, more, list] = fields
  if (fields.length !== 4 || !isRound(round) || !isBoolean(more)) return undefined
  if (!isList(list, 0, 3 * limits.headsPerMessage) || list.length % 3 !== 0 || (more && list.length === 0))
    return undefined
  const heads: Name[] = []
  for (let i = 0; i < list.length; i += 3) {
    const chain = list[i]
    const seq = list[i + 1]
    const id = list[i + 2]
    if (!isBytesUpTo(chain, chainBytes) || !isCount(seq) || !isBytesUpTo(id, idBytes)) return undefined
    const isShort = chain.length === shortNameBytes && id.length === shortNameBytes
    if (!isShort && (chain.length !== chainBytes || id.length !== idBytes)) return undefined
    heads.push({ chain: toHex(chain), seq, id: toHex(id) })
  }
  return { kind: 'heads', round, more, heads }
}

const readWant = (fields: Fields): Want | undefined => {
  const [, round, more, list] = fields
  if (fields.length !== 4 || !isRound(round) || !isBoolean(more) || !isList(list, 0, limits.headsPerMessage))
    return undefined
  if (more && list.length === 0) return undefined
  const wants: Wanted[] = []
  for (const item of list) {
    if (!isList(item, 1, 1 + 2 * limits.locatorIds) || item.length % 2 !== 1) return undefined
    const index = item[0]
    if (!isCount(index)) return undefined
    const held: Place[] = []
    for (let i = 1; i < item.length; i += 2) {
      const seq = item[i]
      const id = item[i + 1]
      if (!isCount(seq) || !(isBytes(id, shortNameBytes) || isBytes(id, idBytes))) return undefined
      held.push({ seq, id: toHex(id) })
    }
    wants.push({ index, held })
  }
  return { kind: 'want', round, more, wants }
}

const readPush = (fields: Fields): Push | undefined => {
  const [, round, last, unknown, commits, certificates] = fields
  if (fields.length !== 6 || !isCount(round) || !isBoolean(last)) return undefined
  if (!isListOf(unknown, 0, limits.headsPerMessage, (item) => isCount(item))) return undefined
  if (!isListOf(commits, 0, itemsPerMessage, isByteString)) return undefined
  if (!isListOf(certificates, 0, itemsPerMessage, isByteString)) return undefined
  return { kind: 'push', round, last, unknown, commits, certificates }
}

const readFingerprint = (fields: Fields): FingerprintMessage | undefined => {
  const [, round, fingerprint, moved] = fields
  if (fields.length !== 4 || !isCount(round) || !isBytes(fingerprint, fingerprintBytes) || !isBoolean(moved))
    return undefined
  return { kind: 'fingerprint', round, fingerprint, moved }
}

const readRefused = (fields: Fields): Refused | undefined => {
  const [, code, ids] = fields
  if (fields.length !== 3 || !isCode(code) || !isListOf(ids, 0, limits.pendingCommits, isId)) return undefined
  return { kind: 'refused', code, ids: ids.map(toHex) }
}

const readRest = (fields: Fields): Rest | undefined => {
  const [, round] = fields
  return fields.length === 2 && isRound(round) ? { kind: 'rest', round } : undefined
}

const readers: readonly ((fields: Fields) => Message | undefined)[] = [
  readHello,
  readEntries,
  readFilter,
  readHeads,
  readWant,
  readPush,
  readFingerprint,
  readRefused,
  readRest,
]
