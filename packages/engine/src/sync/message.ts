import { fromHex, toHex } from '../bytes/bytes.ts'
import { limits } from '../bytes/limits.ts'
import type { Plain } from '../bytes/plain.ts'
import { type Code, catalogue, isRefusal, type Refusal, refusal } from '../bytes/refusal.ts'
import { isBoolean, isBytes, isBytesUpTo, isInteger, isList, isListOf, isText } from '../bytes/shape.ts'
import { type Filter, filterBytes, mostTips, saltBytes } from './filter.ts'
import { fingerprintBytes } from './fingerprint.ts'
import { decodeSums, encodeSums, mostMoved, mostSums, type Sums } from './sums.ts'

/**
 * The messages of reconciliation, about one repository over one channel. Each is an array whose first item is its
 * number. One side leads (the one that dialled), the other follows; both may push.
 *
 *   0 hello        fingerprint, empty, sketch
 *                  Both, first. `sketch`: of the leader a cursor [place, hash] or sums as bytes, of the follower, or where there is
 *                  nothing to sketch, no bytes; null from whoever speaks the base protocol alone, and then nobody sketches or packs.
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
 *   6 fingerprint  round, fingerprint | null, moved, cursor | null
 *                  The leader closes a round; the follower answers, with null for the same, and then with a cursor into
 *                  what it holds. `moved`: commits came in from elsewhere since the fingerprint before.
 *   7 refused      code, [id...]
 *                  What was sent could not be kept.
 *   8 rest         round
 *                  The leader gives up until something changes.
 *   9 sums         round, sums
 *                  Whoever cannot tell from the other's sums what differs answers with more of its own; none: a filter
 *                  is wanted.
 *   10 vector      round, vector
 *                  The same with all heads, compressed.
 *   11 moved       round, rest, [key, held, id...], pushes
 *                  Whoever could tell says where it is behind: chains by their key of this round, how many of their
 *                  commits it holds, and the beginning of the last one's id (empty with none); `rest` are the
 *                  coefficients of the polynomial whose roots are the keys that it does not hold. `pushes`: its push follows.
 *   12 packed      round, last, [index...], pack, [certificate...]
 *                  A push whose commits are packed.
 *
 * A conversation: hello both ways. Equal fingerprints: silence. One side without commits: the other pushes all it has.
 * Otherwise the first round begins with what the leader's hello sketched
 *
 *   leader    hello (sums) ->
 *             <- moved, push (last)         or sums, or a vector, which the leader answers in the same way
 *             push (last) ->
 *             fingerprint ->
 *             <- fingerprint
 *
 * and what it leaves, or everything when it sketched nothing (the base protocol), is settled by rounds of
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
export type Message =
  | Hello
  | Entries
  | FilterMessage
  | Heads
  | Want
  | Push
  | FingerprintMessage
  | Refused
  | Rest
  | SumsMessage
  | VectorMessage
  | Moved

/** A push as it travels between two sides that pack. */
export interface PackedPush {
  readonly kind: 'packed'
  readonly round: number
  readonly last: boolean
  readonly unknown: readonly number[]
  readonly pack: Uint8Array
  readonly certificates: readonly Uint8Array[]
}

/** A place in somebody's order of admission: how many commits, and a hash of their ids. */
export interface Cursor {
  readonly place: number
  /** `prefixBytes`. */
  readonly hash: Uint8Array
}

export interface Hello {
  readonly kind: 'hello'
  readonly fingerprint: Uint8Array
  /** Whether the sender holds no commit. */
  readonly empty: boolean
  /** No sums: there is nothing to sketch. Undefined: the base protocol alone. */
  readonly sketch: Sums | Cursor | undefined
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
  /** Undefined: the same as the leader's. */
  readonly fingerprint: Uint8Array | undefined
  readonly moved: boolean
  readonly cursor: Cursor | undefined
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

export interface SumsMessage {
  readonly kind: 'sums'
  readonly round: number
  readonly sums: Sums
}

export interface VectorMessage {
  readonly kind: 'vector'
  readonly round: number
  readonly bits: Uint8Array
}

/** Where its sender is behind in a chain. */
export interface Behind {
  readonly key: number
  /** How many commits of the chain it holds. */
  readonly held: number
  /** The last one's id, its first `shortIdBytes` bytes in hex; empty when it holds none. */
  readonly id: string
}

export interface Moved {
  readonly kind: 'moved'
  readonly round: number
  readonly rest: readonly number[]
  readonly behind: readonly Behind[]
  /** Whether a push follows, ended by `last`. */
  readonly pushes: boolean
}

/** Bytes of an id in `moved`. */
export const shortIdBytes = 4
export const prefixBytes = 4
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

export const encodeMessage = (message: Message | PackedPush): Plain => {
  switch (message.kind) {
    case 'hello': {
      const { sketch } = message
      const sketched = sketch === undefined ? null : 'place' in sketch ? encodeCursor(sketch) : encodeSums(sketch)
      return [0, message.fingerprint, message.empty, sketched]
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
      return [
        6,
        message.round,
        message.fingerprint ?? null,
        message.moved,
        message.cursor === undefined ? null : encodeCursor(message.cursor),
      ]
    case 'refused':
      return [7, message.code, message.ids.map(fromHex)]
    case 'rest':
      return [8, message.round]
    case 'sums':
      return [9, message.round, encodeSums(message.sums)]
    case 'vector':
      return [10, message.round, message.bits]
    case 'moved':
      return [
        11,
        message.round,
        encodeSums(Uint32Array.from(message.rest)),
        message.behind.flatMap(({ key, held, id }) => [key, held, fromHex(id)]),
        message.pushes,
      ]
    case 'packed':
      return [12, message.round, message.last, message.unknown, message.pack, message.certificates]
  }
}

const encodeCursor = ({ place, hash }: Cursor): Plain => [place, hash]

/**
 * The message, or why it is refused. Everything in it is within its limits; whether it belongs here is the machine's to
 * say.
 */
export const decodeMessage = (plain: Plain): Message | PackedPush | Refusal => {
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

const isCursor = (value: Plain | undefined): value is readonly [number, Uint8Array] =>
  isList(value, 2, 2) && isCount(value[0]) && isBytes(value[1], prefixBytes)

const readSums = (bytes: Uint8Array, most: number): Sums | undefined => {
  const sums = bytes.length <= 4 * most ? decodeSums(bytes) : undefined
  return sums === undefined || isRefusal(sums) ? undefined : sums
}

const readHello = (fields: Fields): Hello | undefined => {
  const [, fingerprint, empty, sketch] = fields
  if (fields.length !== 4 || !isBytes(fingerprint, fingerprintBytes) || !isBoolean(empty)) return undefined
  if (sketch === null) return { kind: 'hello', fingerprint, empty, sketch: undefined }
  if (isCursor(sketch)) return { kind: 'hello', fingerprint, empty, sketch: { place: sketch[0], hash: sketch[1] } }
  const sums = sketch instanceof Uint8Array ? readSums(sketch, mostSums) : undefined
  return sums && { kind: 'hello', fingerprint, empty, sketch: sums }
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
  const [, round, fingerprint, moved, cursor] = fields
  if (fields.length !== 5 || !isCount(round) || !isBoolean(moved)) return undefined
  if (fingerprint !== null && !isBytes(fingerprint, fingerprintBytes)) return undefined
  if (cursor !== null && !isCursor(cursor)) return undefined
  return {
    kind: 'fingerprint',
    round,
    fingerprint: fingerprint ?? undefined,
    moved,
    cursor: cursor === null ? undefined : { place: cursor[0], hash: cursor[1] },
  }
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

const readSumsMessage = (fields: Fields): SumsMessage | undefined => {
  const [, round, bytes] = fields
  if (fields.length !== 3 || !isRound(round) || !(bytes instanceof Uint8Array)) return undefined
  const sums = readSums(bytes, mostSums)
  return sums && { kind: 'sums', round, sums }
}

const readVector = (fields: Fields): VectorMessage | undefined => {
  const [, round, bits] = fields
  if (fields.length !== 3 || !isRound(round) || !isBytesUpTo(bits, limits.frameBytes)) return undefined
  return { kind: 'vector', round, bits }
}

const readMoved = (fields: Fields): Moved | undefined => {
  const [, round, rest, list, pushes] = fields
  if (fields.length !== 5 || !isBoolean(pushes) || !isRound(round) || !(rest instanceof Uint8Array)) return undefined
  const coefficients = readSums(rest, mostMoved(mostSums))
  if (coefficients === undefined || !isList(list, 0, 3 * limits.headsPerMessage) || list.length % 3 !== 0)
    return undefined
  const behind: Behind[] = []
  for (let i = 0; i < list.length; i += 3) {
    const key = list[i]
    const held = list[i + 1]
    const id = list[i + 2]
    if (!isInteger(key, 0, Number.MAX_SAFE_INTEGER) || !isCount(held)) return undefined
    if (!isBytes(id, held === 0 ? 0 : shortIdBytes)) return undefined
    behind.push({ key, held, id: toHex(id) })
  }
  return { kind: 'moved', round, rest: [...coefficients], behind, pushes }
}

const readPacked = (fields: Fields): PackedPush | undefined => {
  const [, round, last, unknown, pack, certificates] = fields
  if (fields.length !== 6 || !isCount(round) || !isBoolean(last)) return undefined
  if (!isListOf(unknown, 0, limits.headsPerMessage, (item) => isCount(item))) return undefined
  if (!isBytesUpTo(pack, limits.frameBytes)) return undefined
  if (!isListOf(certificates, 0, itemsPerMessage, isByteString)) return undefined
  return { kind: 'packed', round, last, unknown, pack, certificates }
}

const readers: readonly ((fields: Fields) => Message | PackedPush | undefined)[] = [
  readHello,
  readEntries,
  readFilter,
  readHeads,
  readWant,
  readPush,
  readFingerprint,
  readRefused,
  readRest,
  readSumsMessage,
  readVector,
  readMoved,
  readPacked,
]
