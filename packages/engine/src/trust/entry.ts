/**
 * Entries of the authority's logs: the root log of the network (`/sys`) and one log beside each repository. A log is one linear chain;
 * two different entries at one position of one epoch prove that the authority forked it.
 *
 *     body = [format, network, log path, epoch, n, previous entry hash | null, root position | null, time, signer, kind, statement]
 *     genesis    = [public key (65 bytes), network name (16 random bytes)]           the network is the hash of this entry
 *     checkpoint = [heads root (32 bytes), state root | null, [[session, incarnation, seq, commit id], ...]]      the chains that moved
 *     verdict    = [commit id, item key | null, code, rule, reason]                  voids a change, or all changes of a commit
 *
 * The root position is null in the root log itself, and only there. Genesis names no network (32 zero bytes): it makes it, as the
 * first entry of the root log, signed with the key that it names. It stands nowhere else: whoever could write one would be the authority.
 */
import { fromHex, toHex, utf8Length } from '../bytes/bytes.ts'
import { encode, type Plain } from '../bytes/cbor.ts'
import { limits } from '../bytes/limits.ts'
import { isRefusal, type Refusal, refusal } from '../bytes/refusal.ts'
import { format, type Hash, type Position } from '../commit/commit.ts'
import type { Head } from '../graph/commits.ts'
import { readSigned, type Signed } from './signed.ts'

export const rootPath = '/sys'
export const noNetwork = '0'.repeat(64)

export type Statement =
  | { readonly kind: 'genesis'; readonly publicKey: Uint8Array; readonly name: Uint8Array }
  | {
      readonly kind: 'checkpoint'
      /** `headsRoot` over everything covered so far, hex. */
      readonly headsRoot: string
      readonly stateRoot: string | null
      readonly moved: readonly Head[]
    }
  | {
      readonly kind: 'verdict'
      readonly commit: string
      /** The item whose change is void; null for the whole commit. */
      readonly key: string | null
      readonly code: string
      readonly rule: string
      readonly reason: string
    }
  /** A statement of a later version: its place in the log counts, what it says is not known here. */
  | { readonly kind: 'unknown' }

export interface EntryBody {
  readonly network: string
  readonly log: string
  readonly epoch: number
  readonly n: number
  readonly prev: string | null
  readonly root: Position | null
  /** ms since 1970, the authority's clock */
  readonly time: number
  /** Hash of the authority key that signed, hex. */
  readonly signer: string
  readonly statement: Statement
}

export interface Entry extends EntryBody, Signed {}

const kinds = { genesis: 0, checkpoint: 1, verdict: 2 } as const

const encodeStatement = (statement: Statement): [kind: number, body: Plain] => {
  switch (statement.kind) {
    case 'genesis':
      return [kinds.genesis, [statement.publicKey, statement.name]]
    case 'checkpoint':
      return [
        kinds.checkpoint,
        [
          fromHex(statement.headsRoot),
          statement.stateRoot === null ? null : fromHex(statement.stateRoot),
          statement.moved.map((head) => [
            fromHex(head.chain.slice(0, 64)),
            fromHex(head.chain.slice(64)),
            head.seq,
            fromHex(head.id),
          ]),
        ],
      ]
    case 'verdict':
      return [
        kinds.verdict,
        [fromHex(statement.commit), statement.key, statement.code, statement.rule, statement.reason],
      ]
    case 'unknown':
      throw new TypeError('a statement that is not known cannot be written')
  }
}

export const encodeEntry = (body: EntryBody): Uint8Array => {
  const [kind, statement] = encodeStatement(body.statement)
  return encode([
    format,
    fromHex(body.network),
    body.log,
    body.epoch,
    body.n,
    body.prev === null ? null : fromHex(body.prev),
    body.root === null ? null : [body.root.epoch, body.root.n, fromHex(body.root.hash)],
    body.time,
    fromHex(body.signer),
    kind,
    statement,
  ])
}

const isCount = (value: Plain | undefined): value is number =>
  typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= 0xffff_ffff

const isHash = (value: Plain | undefined): value is Uint8Array => value instanceof Uint8Array && value.length === 32

const isText = (value: Plain | undefined): value is string =>
  typeof value === 'string' && utf8Length(value) <= limits.nameBytes

const readMoved = (plain: Plain | undefined): Head[] | undefined => {
  if (!Array.isArray(plain) || plain.length > limits.headsPerMessage) return undefined
  const moved: Head[] = []
  for (const item of plain as readonly Plain[]) {
    if (!Array.isArray(item) || item.length !== 4) return undefined
    const [session, incarnation, seq, id] = item as readonly Plain[]
    if (
      !isHash(session) ||
      !(incarnation instanceof Uint8Array) ||
      incarnation.length !== 8 ||
      !isCount(seq) ||
      !isHash(id)
    )
      return undefined
    moved.push({ chain: toHex(session) + toHex(incarnation), seq, id: toHex(id) })
  }
  return moved
}

const readStatement = (kind: number, plain: Plain | undefined): Statement | undefined => {
  if (kind !== kinds.genesis && kind !== kinds.checkpoint && kind !== kinds.verdict) return { kind: 'unknown' }
  if (!Array.isArray(plain)) return undefined
  const list = plain as readonly Plain[]
  if (kind === kinds.genesis) {
    const [publicKey, name] = list
    if (list.length !== 2 || !(publicKey instanceof Uint8Array) || publicKey.length !== 65) return undefined
    return name instanceof Uint8Array && name.length === 16 ? { kind: 'genesis', publicKey, name } : undefined
  }
  if (kind === kinds.checkpoint) {
    const [headsRoot, stateRoot, moved] = list
    const heads = readMoved(moved)
    if (list.length !== 3 || !isHash(headsRoot) || (stateRoot !== null && !isHash(stateRoot)) || heads === undefined)
      return undefined
    return {
      kind: 'checkpoint',
      headsRoot: toHex(headsRoot),
      stateRoot: stateRoot === null ? null : toHex(stateRoot),
      moved: heads,
    }
  }
  const [commit, key, code, rule, reason] = list
  if (list.length !== 5 || !isHash(commit) || (key !== null && !isText(key))) return undefined
  if (!isText(code) || !isText(rule) || !isText(reason)) return undefined
  return { kind: 'verdict', commit: toHex(commit), key, code, rule, reason }
}

/** Reads an entry; its signature and its place in the log are checked elsewhere. */
export const readEntry = (bytes: Uint8Array, hash: Hash): Entry | Refusal => {
  const read = readSigned(bytes, hash)
  if (isRefusal(read)) return read
  const malformed = refusal('Malformed', 'entry')
  const [version, network, log, epoch, n, prev, root, time, signer, kind, body] = read.body
  if (version !== format) return isCount(version) ? refusal('UnknownFormat', 'entry') : malformed
  if (read.body.length !== 11 || !isHash(network) || !isText(log) || !isCount(epoch) || !isCount(n)) return malformed
  if (n === 0 ? prev !== null : !isHash(prev)) return malformed
  if (typeof time !== 'number' || !Number.isSafeInteger(time) || time < 0 || !isHash(signer) || !isCount(kind))
    return malformed
  let position: Position | null = null
  if (root !== null) {
    if (!Array.isArray(root) || root.length !== 3) return malformed
    const [rootEpoch, rootN, rootHash] = root as readonly Plain[]
    if (!isCount(rootEpoch) || !isCount(rootN) || !isHash(rootHash)) return malformed
    position = { epoch: rootEpoch, n: rootN, hash: toHex(rootHash) }
  }
  if ((log === rootPath) !== (position === null)) return malformed
  const statement = readStatement(kind, body)
  if (statement === undefined) return malformed
  if (statement.kind === 'genesis') {
    const isFirst = log === rootPath && epoch === 0 && n === 0
    if (!isFirst || toHex(network) !== noNetwork || toHex(hash(statement.publicKey)) !== toHex(signer)) return malformed
  } else if (log === rootPath && n === 0) return malformed
  return {
    ...read.signed,
    network: toHex(network),
    log,
    epoch,
    n,
    prev: prev instanceof Uint8Array ? toHex(prev) : null,
    root: position,
    time,
    signer: toHex(signer),
    statement,
  }
}
