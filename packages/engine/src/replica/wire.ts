/**
 * Frames on a channel. Every frame is one CBOR array that begins with its number on this channel and its kind:
 *
 *     frame       = [number, kind, ...]          number: 0, 1, 2 ... in each direction; a gap or a repeat closes the channel
 *     0 greet     = version, network | null, nonce (32 bytes), time, entries held of the root log
 *     1 prove     = public key (65 bytes), certificate | null, signature (64 bytes), [root entry, ...]
 *     2 login     = method, credentials
 *     3 certified = certificate
 *     4 refused   = code, about
 *     5 beat                                     nothing else was sent for a while
 *     6 subscribe = tag, repository path, [epoch, n, hash] | null, moved, store     from now on the sender names the repository by this number;
 *                   its position in the log, chains that no checkpoint covers as they are here (a hint), the name of its store (8 bytes)
 *     7 sync      = tag, message                 a message of `sync`, about the repository the sender named so
 *     8 root      = [root entry, ...]            the root log grew
 *     9 unsubscribe = tag
 *     10 request  = tag, method, arguments       what only the authority does; each is answered
 *     11 answer   = tag, code | null, about, reason | null
 *     12 farewell = repository path, [entry, ...]     the entries that end the receiver's access, and those before it that it lacks
 *     13 welcome  = repository path              the receiver may read it now
 *     14 seek     = count, [session, ...]        the sender takes part in the mesh, and wants to meet so many others than those
 *     15 members  = number, [session, ...], [[[url, ...], user name | null, credential | null], ...]     of so many, these; and the ICE servers
 *     16 neighbours = [session, ...]             to whom the sender has channels
 *     17 carry    = session, signal              for that session, by way of the receiver
 *     18 signal   = session, signal              of that session, carried by the sender
 *     19 ping     = number                       answered at once
 *     20 pong     = number                       of the ping
 *     21 witness  = [certificate, ...]           of the receiver's account, that the sender has met
 *
 * Both sides greet first, then prove that they hold their session key: the signature is over both greetings as they were sent, the key, the
 * role and the channel's binding (DTLS fingerprints where there are any). Only a proved peer is listened to, and only a certified one may subscribe.
 */
import { fromHex, toHex, utf8Length } from '../bytes/bytes.ts'
import { decode, encode, type Plain } from '../bytes/cbor.ts'
import { limits } from '../bytes/limits.ts'
import { type Code, catalogue, isRefusal, type Refusal, refusal } from '../bytes/refusal.ts'
import { isBytesUpTo, isList, isListOf } from '../bytes/shape.ts'
import { Sink } from '../bytes/sink.ts'
import type { Position } from '../commit/commit.ts'
import { mostSignalBytes } from '../mesh/signal.ts'
import { storeBytes } from './known.ts'
import type { IceServer } from './ports.ts'

export const protocolVersion = 1

export type Frame =
  | {
      readonly kind: 'greet'
      readonly network: string | null
      readonly nonce: Uint8Array
      readonly time: number
      readonly root: number
    }
  | {
      readonly kind: 'prove'
      readonly publicKey: Uint8Array
      readonly certificate: Uint8Array | null
      readonly signature: Uint8Array
      readonly root: readonly Uint8Array[]
    }
  | { readonly kind: 'login'; readonly method: string; readonly credentials: Plain }
  | { readonly kind: 'certified'; readonly certificate: Uint8Array }
  | { readonly kind: 'refused'; readonly code: Code; readonly about: string }
  | { readonly kind: 'beat' }
  | {
      readonly kind: 'subscribe'
      readonly tag: number
      readonly path: string
      readonly log: Position | undefined
      readonly moved: number
      readonly store: Uint8Array
    }
  | { readonly kind: 'sync'; readonly tag: number; readonly message: Plain }
  | { readonly kind: 'root'; readonly entries: readonly Uint8Array[] }
  | { readonly kind: 'unsubscribe'; readonly tag: number }
  | { readonly kind: 'request'; readonly tag: number; readonly method: string; readonly args: Plain }
  | {
      readonly kind: 'answer'
      readonly tag: number
      /** null: it was done. */
      readonly why: Refusal | null
    }
  | { readonly kind: 'farewell'; readonly path: string; readonly entries: readonly Uint8Array[] }
  | { readonly kind: 'welcome'; readonly path: string }
  | Witness
  | MeshFrame

export interface Witness {
  readonly kind: 'witness'
  readonly certificates: readonly Uint8Array[]
}

export type MeshFrame =
  | { readonly kind: 'seek'; readonly count: number; readonly met: readonly string[] }
  | {
      readonly kind: 'members'
      readonly total: number
      readonly sessions: readonly string[]
      readonly servers: readonly IceServer[]
    }
  | { readonly kind: 'neighbours'; readonly sessions: readonly string[] }
  | { readonly kind: 'carry'; readonly session: string; readonly signal: Uint8Array }
  | { readonly kind: 'signal'; readonly session: string; readonly signal: Uint8Array }
  | { readonly kind: 'ping'; readonly number: number }
  | { readonly kind: 'pong'; readonly number: number }

export const encodeFrame = (number: number, frame: Frame): Uint8Array => {
  const body = (): Plain[] => {
    switch (frame.kind) {
      case 'greet':
        return [
          0,
          protocolVersion,
          frame.network === null ? null : fromHex(frame.network),
          frame.nonce,
          frame.time,
          frame.root,
        ]
      case 'prove':
        return [1, frame.publicKey, frame.certificate, frame.signature, [...frame.root]]
      case 'login':
        return [2, frame.method, frame.credentials]
      case 'certified':
        return [3, frame.certificate]
      case 'refused':
        return [4, frame.code, frame.about]
      case 'beat':
        return [5]
      case 'subscribe':
        return [6, frame.tag, frame.path, encodePosition(frame.log), frame.moved, frame.store]
      case 'sync':
        return [7, frame.tag, frame.message]
      case 'root':
        return [8, [...frame.entries]]
      case 'unsubscribe':
        return [9, frame.tag]
      case 'request':
        return [10, frame.tag, frame.method, frame.args]
      case 'answer': {
        const { why } = frame
        return [
          11,
          frame.tag,
          why?.code ?? null,
          cutName(why?.about ?? ''),
          why?.reason === undefined ? null : cutName(why.reason),
        ]
      }
      case 'farewell':
        return [12, frame.path, [...frame.entries]]
      case 'welcome':
        return [13, frame.path]
      case 'seek':
        return [14, frame.count, frame.met.map(fromHex)]
      case 'members':
        return [
          15,
          frame.total,
          frame.sessions.map(fromHex),
          frame.servers.map(({ urls, username, credential }) => [[...urls], username ?? null, credential ?? null]),
        ]
      case 'neighbours':
        return [16, frame.sessions.map(fromHex)]
      case 'carry':
        return [17, fromHex(frame.session), frame.signal]
      case 'signal':
        return [18, fromHex(frame.session), frame.signal]
      case 'ping':
        return [19, frame.number]
      case 'pong':
        return [20, frame.number]
      case 'witness':
        return [21, [...frame.certificates]]
    }
  }
  return encode([number, ...body()])
}

/** What stands before a message of `sync` that is encoded already, since many are sent it. */
export const encodeSyncHead = (number: number, tag: number): Uint8Array => {
  heads.clear()
  heads.head(4, 4)
  heads.number(number)
  heads.head(0, 7)
  heads.head(0, tag)
  return heads.copy()
}

const heads = new Sink(16)

/** As much as a frame takes, without the half of a character that the cut may leave. */
export const cutName = (about: string): string => {
  const cut = about.slice(0, 200).replace(/[\ud800-\udbff]$/, '')
  return utf8Length(cut) <= limits.nameBytes ? cut : cut.slice(0, 85).replace(/[\ud800-\udbff]$/, '')
}

const isBytes = (value: Plain | undefined, length?: number): value is Uint8Array =>
  value instanceof Uint8Array && (length === undefined || value.length === length)

const isCount = (value: Plain | undefined, max = 0xffff_ffff): value is number =>
  typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= max

const isText = (value: Plain | undefined): value is string =>
  typeof value === 'string' && utf8Length(value) <= limits.nameBytes

const isCode = (value: Plain | undefined): value is Code => typeof value === 'string' && Object.hasOwn(catalogue, value)

const bytesList = (value: Plain | undefined): Uint8Array[] | undefined => {
  if (!Array.isArray(value)) return undefined
  const list: Uint8Array[] = []
  for (const one of value as readonly Plain[]) {
    if (!isBytes(one)) return undefined
    list.push(one)
  }
  return list
}

const encodePosition = (position: Position | undefined): Plain =>
  position === undefined ? null : [position.epoch, position.n, fromHex(position.hash)]

const readSubscribe = (
  tag: Plain | undefined,
  path: Plain | undefined,
  log: Plain | undefined,
  moved: Plain | undefined,
  store: Plain | undefined,
): Frame | undefined => {
  if (!isCount(tag, limits.repositoriesPerChannel) || !isText(path) || !isCount(moved)) return undefined
  if (!isBytes(store, storeBytes)) return undefined
  if (log === null) return { kind: 'subscribe', tag, path, log: undefined, moved, store }
  if (!Array.isArray(log) || log.length !== 3) return undefined
  const [epoch, n, hash] = log as readonly Plain[]
  if (!isCount(epoch) || !isCount(n) || !isBytes(hash, 32)) return undefined
  return { kind: 'subscribe', tag, path, log: { epoch, n, hash: toHex(hash) }, moved, store }
}

const sessionsOf = (value: Plain | undefined): string[] | undefined =>
  isListOf(value, 0, limits.meshIntroduced, (session) => isBytes(session, 32)) ? value.map(toHex) : undefined

const serversOf = (value: Plain | undefined): IceServer[] | undefined => {
  if (!isList(value, 0, mostServers)) return undefined
  const servers: IceServer[] = []
  for (const server of value) {
    if (!isList(server, 3, 3)) return undefined
    const [urls, username, credential] = server
    const isUrl = (url: Plain): url is string => isText(url) && /^(?:stun|turns?):/.test(url)
    if (!isListOf(urls, 1, mostServers, isUrl)) return undefined
    if ((username !== null && !isText(username)) || (credential !== null && !isText(credential))) return undefined
    servers.push({ urls, ...(username !== null && { username }), ...(credential !== null && { credential }) })
  }
  return servers
}

/** ICE servers, and URLs of each. */
const mostServers = 8

/** Fields of each kind, number and kind included. */
const fieldCounts: readonly number[] = [7, 6, 4, 3, 4, 2, 7, 4, 3, 3, 5, 6, 4, 3, 4, 5, 3, 4, 4, 3, 3, 3]

/** Reads a frame; `number` is the one expected. */
export const decodeFrame = (bytes: Uint8Array, number: number): Frame | Refusal => {
  if (bytes.length > limits.frameBytes) return refusal('TooLarge', 'frame')
  const plain = decode(bytes)
  if (isRefusal(plain)) return plain
  const malformed = refusal('Malformed', 'frame')
  if (!Array.isArray(plain)) return malformed
  const [sent, kind, a, b, c, d, e, ...rest] = plain as readonly Plain[]
  if (!isCount(sent, Number.MAX_SAFE_INTEGER) || rest.length > 0) return malformed
  const fields = typeof kind === 'number' ? fieldCounts[kind] : undefined
  if (sent !== number) return refusal('Gap', `frame ${sent} instead of ${number}`)
  // A later protocol may greet at greater length: that it is later is the answer.
  if (fields !== undefined && plain.length !== fields && kind !== 0) return malformed
  switch (kind) {
    case 0:
      if (a !== protocolVersion) return refusal('UnknownFormat', 'the protocol')
      if ((b !== null && !isBytes(b, 32)) || !isBytes(c, 32) || !isCount(d, Number.MAX_SAFE_INTEGER) || !isCount(e))
        return malformed
      return { kind: 'greet', network: b === null ? null : toHex(b), nonce: c, time: d, root: e }
    case 1: {
      const root = bytesList(d)
      if (!isBytes(a, 65) || (b !== null && !isBytes(b)) || !isBytes(c, 64) || root === undefined) return malformed
      return { kind: 'prove', publicKey: a, certificate: b, signature: c, root }
    }
    case 2:
      return isText(a) && b !== undefined ? { kind: 'login', method: a, credentials: b } : malformed
    case 3:
      return isBytes(a) ? { kind: 'certified', certificate: a } : malformed
    case 4:
      return isCode(a) && isText(b) ? { kind: 'refused', code: a, about: b } : malformed
    case 5:
      return { kind: 'beat' }
    case 6:
      return readSubscribe(a, b, c, d, e) ?? malformed
    case 7:
      return isCount(a, limits.repositoriesPerChannel) && b !== undefined
        ? { kind: 'sync', tag: a, message: b }
        : malformed
    case 8: {
      const entries = bytesList(a)
      return entries === undefined ? malformed : { kind: 'root', entries }
    }
    case 9:
      return isCount(a, limits.repositoriesPerChannel) ? { kind: 'unsubscribe', tag: a } : malformed
    case 10:
      return isCount(a) && isText(b) && c !== undefined ? { kind: 'request', tag: a, method: b, args: c } : malformed
    case 11: {
      if (!isCount(a) || (b !== null && !isCode(b)) || !isText(c) || (d !== null && !isText(d))) return malformed
      return { kind: 'answer', tag: a, why: b === null ? null : { ...refusal(b, c), ...(d !== null && { reason: d }) } }
    }
    case 12: {
      const entries = bytesList(b)
      return isText(a) && entries !== undefined ? { kind: 'farewell', path: a, entries } : malformed
    }
    case 13:
      return isText(a) ? { kind: 'welcome', path: a } : malformed
    case 14: {
      const met = sessionsOf(b)
      return isCount(a, limits.meshIntroduced) && met !== undefined ? { kind: 'seek', count: a, met } : malformed
    }
    case 15: {
      const sessions = sessionsOf(b)
      const servers = serversOf(c)
      if (!isCount(a) || sessions === undefined || servers === undefined) return malformed
      return { kind: 'members', total: a, sessions, servers }
    }
    case 16: {
      const sessions = sessionsOf(a)
      return sessions === undefined ? malformed : { kind: 'neighbours', sessions }
    }
    case 17:
      return isBytes(a, 32) && isBytesUpTo(b, mostSignalBytes)
        ? { kind: 'carry', session: toHex(a), signal: b }
        : malformed
    case 18:
      return isBytes(a, 32) && isBytesUpTo(b, mostSignalBytes)
        ? { kind: 'signal', session: toHex(a), signal: b }
        : malformed
    case 19:
      return isCount(a) ? { kind: 'ping', number: a } : malformed
    case 20:
      return isCount(a) ? { kind: 'pong', number: a } : malformed
    case 21: {
      const certificates = bytesList(a)
      if (certificates === undefined || certificates.length > limits.certificatesTold) return malformed
      return { kind: 'witness', certificates }
    }
    default:
      return refusal('UnknownMessage', typeof kind === 'number' ? String(kind) : '')
  }
}
