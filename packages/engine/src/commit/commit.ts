/**
 * Commits: the signed unit of a repository. Everything about a commit follows from its bytes: its id is the hash of its header, the
 * header names its changes by hash, the session in it is a hash of the key that must have signed and of its owner. Nothing stands outside the signed
 * bytes but the signature itself (ECDSA signatures are malleable, so they take no part in the id).
 *
 *     record = [header bytes, signature (64 bytes, or 0 inside a run), [change, ...]]
 *     change = [identity bytes, operations bytes, content bytes | [hash of the content bytes]]      the latter when erased
 *     header = [format, network, repository, session, incarnation, seq, prev, clock, policy, flags, [change hash, ...], ext]
 *     identity = [item key, [parent commit id, ...], [schema name, version, definition hash]]
 *     content  = [salt (12 bytes), [value, ...]]
 *     policy   = [position in the root log, position in the repository's authority log | null];  position = [epoch, n, entry hash]
 *     change hash = SHA-256(SHA-256(identity) || SHA-256(operations) || SHA-256(content));   id = SHA-256(header)
 */
import { compareBytes, concatBytes, encodeUtf8, equalBytes, fromHex, isHex, toHex, utf8Length } from '../bytes/bytes.ts'
import { decode, encode, type Plain } from '../bytes/cbor.ts'
import { guard } from '../bytes/guard.ts'
import { limits } from '../bytes/limits.ts'
import { isRefusal, type Refusal, refusal } from '../bytes/refusal.ts'
import { Sink } from '../bytes/sink.ts'
import { chainName, type Policy, type Position, type SchemaName, sharedPolicy, sharedSchema } from './names.ts'
import { areGood, decodeOperations, encodeOperations, type Operation, splicedLength } from './operation.ts'
import { readPlain } from './plain.ts'

export { chainName, type Policy, type Position, type SchemaName } from './names.ts'

export type Hash = (bytes: Uint8Array) => Uint8Array

export interface Change {
  readonly key: string
  /** Commit ids, hex, ascending. */
  readonly parents: readonly string[]
  readonly schema: SchemaName
  readonly operations: readonly Operation[]
  readonly erased: boolean
}

export interface Header {
  readonly network: string
  readonly repository: string
  readonly session: string
  readonly incarnation: string
  readonly seq: number
  readonly prev: string | null
  /** Hybrid logical clock: ms since 1970 times 256, then counted up. */
  readonly clock: number
  readonly policy: Policy
  readonly atomic: boolean
  /** True when `ext` holds a key this version does not know: stored, forwarded, not counted yet. */
  readonly extended: boolean
}

export interface Commit extends Header {
  readonly id: string
  readonly chain: string
  /** 64 bytes, or none: then the next commits of its chain vouch for it (`run.ts`). */
  readonly signature: Uint8Array
  readonly changes: readonly Change[]
  /** The record, byte for byte as received or made: what is stored and forwarded. */
  readonly bytes: Uint8Array
}

export const format = 1
export const clockTicks = 256
const latestClock = Number.MAX_SAFE_INTEGER
const atomicFlag = 1
const domain = encodeUtf8('weft/commit/1\0')

/** Names a key that has no certificate yet: SHA-256 of the public key (65 bytes), hex. */
export const keyId = (publicKey: Uint8Array, hash: Hash): string => toHex(hash(publicKey))

/**
 * A session is a key and the owner whom the authority certified it for: SHA-256(SHA-256(public key) || SHA-256(owner)), hex. Neither can be
 * claimed, and one key certified for two owners is two sessions, so that nobody judges a commit by another owner than everybody else.
 */
export const sessionId = (publicKey: Uint8Array, owner: string, hash: Hash): string =>
  toHex(hash(concatBytes(hash(publicKey), hash(encodeUtf8(owner)))))

/** What the session signs: the kind of the bytes and the commit's id. */
export const signedBytes = (id: string): Uint8Array => concatBytes(domain, fromHex(id))

export interface Draft {
  readonly key: string
  readonly parents: readonly string[]
  readonly schema: SchemaName
  readonly operations: readonly Operation[]
  /** 12 random bytes: keeps short contents from being guessed once they are erased. */
  readonly salt: Uint8Array
}

export interface UnsignedCommit {
  readonly id: string
  readonly header: Uint8Array
  readonly parts: readonly (readonly [Uint8Array, Uint8Array, Uint8Array])[]
  readonly fields: Header
  readonly changes: readonly Change[]
}

// What has one shape is written at once: as values to encode it would be a dozen arrays for each commit.
const sink = new Sink(1_024)

const encodeIdentity = ({ key, parents, schema }: Draft): Uint8Array => {
  sink.clear()
  sink.head(4, 3)
  sink.text(key)
  sink.head(4, parents.length)
  for (const parent of parents) sink.hex(parent)
  sink.head(4, 3)
  sink.text(schema.name)
  sink.number(schema.version)
  sink.hex(schema.hash)
  return sink.copy()
}

const encodeHeader = (fields: Header, hashes: readonly Uint8Array[]): Uint8Array => {
  sink.clear()
  sink.head(4, 12)
  sink.number(format)
  sink.hex(fields.network)
  sink.text(fields.repository)
  sink.hex(fields.session)
  sink.hex(fields.incarnation)
  sink.number(fields.seq)
  if (fields.prev === null) sink.nothing()
  else sink.hex(fields.prev)
  sink.number(fields.clock)
  sink.head(4, 2)
  putPosition(fields.policy.root)
  if (fields.policy.authority === null) sink.nothing()
  else putPosition(fields.policy.authority)
  sink.number(fields.atomic ? atomicFlag : 0)
  sink.head(4, hashes.length)
  for (const hash of hashes) sink.string(hash)
  sink.head(5, 0)
  return sink.copy()
}

const putPosition = ({ epoch, n, hash }: Position): void => {
  sink.head(4, 3)
  sink.number(epoch)
  sink.number(n)
  sink.hex(hash)
}

/**
 * Makes a commit's bytes, all but the signature; its id is known from here on. Throws a TypeError on what `readCommit` would refuse for
 * anything but its size, since such a commit would end its author's chain: a caller never lets it come to that.
 */
export const composeCommit = (fields: Header, drafts: readonly Draft[], hash: Hash): UnsignedCommit => {
  const parts = drafts.map((draft) => {
    const { ops, content } = encodeOperations(draft.operations)
    return [encodeIdentity(draft), encode(ops), encode([draft.salt, content])] as const
  })
  const hashes = parts.map((part) => changeHash(part, hash))
  const header = encodeHeader(fields, hashes)
  const changes = drafts.map(({ key, parents, schema, operations }) => ({
    key,
    parents,
    schema,
    operations,
    erased: false,
  }))
  const commit = { id: toHex(hash(header)), header, parts, fields, changes }
  if (sizeOf(commit) <= limits.commitBytes) mustBeReadable(commit, drafts)
  return commit
}

/** What reading would find, in bytes that were just made of this: each is one canonical item as it is. */
const mustBeReadable = ({ parts, fields }: UnsignedCommit, drafts: readonly Draft[]): void => {
  if (!isGoodHeader(fields) || drafts.length === 0) throw new TypeError('a commit with a Malformed header')
  if (drafts.length > limits.changes) throw new TypeError(`a commit of TooMany changes: ${drafts.length}`)
  const bad = drafts.find((draft) => !isGoodDraft(draft))
  if (bad !== undefined) throw new TypeError(`a commit with a Malformed change of ${bad.key}`)
  if (drafts.length > 1 && new Set(drafts.map(({ key }) => key)).size < drafts.length)
    throw new TypeError('two changes of one item in a commit')
  // No more items than bytes.
  const long = parts.flat().filter((part) => part.length > limits.nodes)
  if (long.some((part) => guard(part) !== undefined)) throw new TypeError('a commit with a change of TooMany items')
}

const isGoodPosition = ({ epoch, n, hash }: Position): boolean =>
  isCount(epoch, 0xffff_ffff) && isCount(n, 0xffff_ffff) && isHex(hash, 32)

const isGoodHeader = ({ network, repository, session, incarnation, seq, prev, clock, policy }: Header): boolean =>
  isHex(network, 32) &&
  isName(repository) &&
  isHex(session, 32) &&
  isHex(incarnation, 8) &&
  isCount(seq, 0xffff_ffff) &&
  (seq === 0 ? prev === null : prev !== null && isHex(prev, 32)) &&
  isCount(clock, latestClock) &&
  isGoodPosition(policy.root) &&
  (policy.authority === null || isGoodPosition(policy.authority))

const isGoodDraft = ({ key, parents, schema: { name, version, hash }, operations, salt }: Draft): boolean =>
  isName(key) &&
  parents.length <= limits.parents &&
  parents.every((parent, at) => isHex(parent, 32) && (at === 0 || (parents[at - 1] ?? '') < parent)) &&
  isName(name) &&
  isCount(version, 0xffff_ffff) &&
  isHex(hash, 32) &&
  salt.length === 12 &&
  areGood(operations)

const changeHash = (part: readonly [Uint8Array, Uint8Array, Uint8Array], hash: Hash): Uint8Array =>
  hash(concatBytes(hash(part[0]), hash(part[1]), hash(part[2])))

/** The size a commit would have, bytes; the limit is `limits.commitBytes`. */
export const sizeOf = (commit: UnsignedCommit): number =>
  commit.header.length + commit.parts.reduce((sum, part) => sum + part[0].length + part[1].length + part[2].length, 0)

const noBytes = new Uint8Array(0)

/** What the commit will be, for whoever need not have its record. */
export const unsealedCommit = ({ id, fields, changes }: UnsignedCommit): Commit => ({
  network: fields.network,
  repository: fields.repository,
  session: fields.session,
  incarnation: fields.incarnation,
  seq: fields.seq,
  prev: fields.prev,
  clock: fields.clock,
  policy: fields.policy,
  atomic: fields.atomic,
  extended: fields.extended,
  id,
  chain: chainName(fields.session, fields.incarnation),
  signature: noBytes,
  changes,
  bytes: noBytes,
})

export const sealCommit = (commit: UnsignedCommit, signature: Uint8Array): Commit => ({
  ...unsealedCommit(commit),
  signature,
  bytes: encode([commit.header, signature, commit.parts]),
})

const isCount = (value: Plain | undefined, max: number): value is number =>
  typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= max

const isBytes = (value: Plain | undefined, length: number): value is Uint8Array =>
  value instanceof Uint8Array && value.length === length

const isList = (value: Plain | undefined, length: number): value is readonly Plain[] =>
  Array.isArray(value) && value.length === length

const isName = (value: Plain | undefined): value is string =>
  typeof value === 'string' && value !== '' && utf8Length(value) <= limits.nameBytes

const readPosition = (plain: Plain | undefined): Position | undefined => {
  if (!isList(plain, 3)) return undefined
  const [epoch, n, hash] = plain
  if (!isCount(epoch, 0xffff_ffff) || !isCount(n, 0xffff_ffff) || !isBytes(hash, 32)) return undefined
  return { epoch, n, hash: toHex(hash) }
}

const readHeader = (bytes: Uint8Array): { header: Header; hashes: readonly Uint8Array[] } | Refusal => {
  const decoded = decode(bytes)
  if (isRefusal(decoded)) return decoded
  const malformed = refusal('Malformed', 'header')
  const list = decoded
  if (!Array.isArray(list) || list.length === 0) return malformed
  if (list[0] !== format) return isCount(list[0], 0xffff_ffff) ? refusal('UnknownFormat', String(list[0])) : malformed
  if (!isList(list, 12)) return malformed
  const [, network, repository, session, incarnation, seq, prev, clock, policy, flags, hashes, ext] = list
  if (!isBytes(network, 32) || !isName(repository) || !isBytes(session, 32) || !isBytes(incarnation, 8))
    return malformed
  if (!isCount(seq, 0xffff_ffff) || !isCount(clock, latestClock) || !isList(policy, 2)) return malformed
  if (seq === 0 ? prev !== null : !isBytes(prev, 32)) return malformed
  const root = readPosition(policy[0])
  const authority = policy[1] === null ? null : readPosition(policy[1])
  if (root === undefined || authority === undefined || !isCount(flags, 1) || !(ext instanceof Map)) return malformed
  if (!Array.isArray(hashes) || hashes.length === 0) return malformed
  if (hashes.length > limits.changes) return refusal('TooMany', `${hashes.length} of ${limits.changes} changes`)
  for (const hash of hashes as readonly Plain[]) if (!isBytes(hash, 32)) return malformed
  return {
    header: {
      network: toHex(network),
      repository,
      session: toHex(session),
      incarnation: toHex(incarnation),
      seq,
      prev: prev instanceof Uint8Array ? toHex(prev) : null,
      clock,
      policy: sharedPolicy(root, authority),
      atomic: flags === atomicFlag,
      extended: ext.size > 0,
    },
    hashes: hashes as readonly Uint8Array[],
  }
}

const readChange = (identity: Uint8Array, ops: Uint8Array, content: Uint8Array | undefined): Change | Refusal => {
  const malformed = refusal('Malformed', 'change')
  const first = decode(identity)
  if (isRefusal(first)) return first
  const second = decode(ops)
  if (isRefusal(second)) return second
  if (!isList(first, 3)) return malformed
  const [key, parents, schema] = first
  if (!isName(key) || !Array.isArray(parents) || !isList(schema, 3)) return malformed
  if (parents.length > limits.parents) return refusal('BadParents', 'too many')
  const [name, version, definition] = schema
  if (!isName(name) || !isCount(version, 0xffff_ffff) || !isBytes(definition, 32)) return malformed
  let last: Uint8Array | undefined
  for (const parent of parents as readonly Plain[]) {
    if (!isBytes(parent, 32)) return malformed
    if (last !== undefined && compareBytes(last, parent) >= 0) return refusal('BadParents', 'not ascending')
    last = parent
  }
  let written: Plain | undefined
  if (content !== undefined) {
    const third = decode(content)
    if (isRefusal(third)) return third
    if (!isList(third, 2) || !isBytes(third[0], 12)) return malformed
    written = third[1]
  }
  const operations = decodeOperations(second, written)
  if (isRefusal(operations)) return operations
  return {
    key,
    parents: (parents as readonly Uint8Array[]).map(toHex),
    schema: sharedSchema(name, version, toHex(definition)),
    operations,
    erased: content === undefined,
  }
}

/**
 * Reads a record that came from outside: structure, limits, canonical encoding and hashes are checked here, in this order, and nothing
 * that needs the store. The signature is not checked, and it may be empty. `hashed`: the id, where the caller itself put the record together and
 * computed all its hashes from its parts, as a `PackReader` does; they are not computed again.
 */
export const readCommit = (bytes: Uint8Array, hash: Hash, hashed?: string): Commit | Refusal =>
  readPlain(bytes, hash, hashed) ?? readDecoded(bytes, hash, hashed)

/** The same of any record, and what says why one is refused. */
export const readDecoded = (bytes: Uint8Array, hash: Hash, hashed?: string): Commit | Refusal => {
  // A hash may be longer than the content it stands for.
  if (bytes.length > limits.commitBytes + limits.changes * 48) return refusal('TooLarge', 'commit')
  const decoded = decode(bytes)
  if (isRefusal(decoded)) return decoded
  const malformed = refusal('Malformed', 'record')
  if (!isList(decoded, 3)) return malformed
  const [headerBytes, signature, list] = decoded
  if (!(headerBytes instanceof Uint8Array) || !Array.isArray(list)) return malformed
  if (!isBytes(signature, 64) && !isBytes(signature, 0)) return malformed
  const head = readHeader(headerBytes)
  if (isRefusal(head)) return head
  if (head.hashes.length !== list.length) return malformed
  const changes: Change[] = []
  const keys = new Set<string>()
  let size = headerBytes.length
  for (const [index, plain] of (list as readonly Plain[]).entries()) {
    if (!isList(plain, 3)) return malformed
    const [identity, ops, content] = plain
    if (!(identity instanceof Uint8Array) || !(ops instanceof Uint8Array)) return malformed
    const whole = content instanceof Uint8Array
    const left = !whole && isList(content, 1) && isBytes(content[0], 32) ? content[0] : undefined
    if (!whole && left === undefined) return malformed
    if (hashed === undefined) {
      const contentHash = left ?? hash(content as Uint8Array)
      const named = head.hashes[index]
      if (named === undefined || !equalBytes(hash(concatBytes(hash(identity), hash(ops), contentHash)), named)) {
        return refusal('BadHash', `change ${index}`)
      }
    }
    size += identity.length + ops.length + (whole ? content.length : 0)
    if (size > limits.commitBytes) return refusal('TooLarge', 'commit')
    const change = readChange(identity, ops, whole ? content : undefined)
    if (isRefusal(change)) return change
    // What was erased took at least a byte a unit.
    if (!whole) size += splicedLength(change.operations)
    if (size > limits.commitBytes) return refusal('TooLarge', 'commit')
    if (keys.has(change.key)) return malformed
    keys.add(change.key)
    changes.push(change)
  }
  const id = hashed ?? toHex(hash(headerBytes))
  const { header } = head
  return { ...header, id, chain: chainName(header.session, header.incarnation), signature, changes, bytes }
}
