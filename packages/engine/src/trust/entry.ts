/**
 * Entries of the authority's logs: the root log of the network (`/sys`) and one log beside each repository. A log is one linear chain;
 * two different entries at one position of one epoch prove that the authority forked it.
 *
 *     body = [format, network, log path, epoch, n, previous entry hash | null, root position | null, time, signer, kind, statement]
 *     0 genesis    = [public key (65 bytes), network name (16 random bytes)]         the network is the hash of this entry
 *     1 checkpoint = [heads root (32 bytes), state root | null, [[session, incarnation, seq, commit id], ...]]    the chains that moved
 *     2 verdict    = [commit id, item key | null, code, rule, reason]                voids a change, or all changes of a commit
 *     3 grant      = [owner, role | null, by | null, flags]        gives a role or takes it away; flags: 1 fences, 2 founding. To a guest:
 *                    [owner, role, by, 0, SHA-256 of the secret]   and the invitation has one use less
 *     4 revocation = [0 session | 1 owner, session id (32 bytes) | owner, reason]    in the root log
 *     5 invitation = [SHA-256 of the secret, role, expires, uses, by]               uses 0: withdrawn
 *     6 erasure    = [[[commit id, item key], ...], [[commit id, item key], ...], by, reason]    what is erased, and what did not count of the same items
 *     7 key        = [public key (65 bytes)]                       in the root log: one more key of the authority is in force from here on
 *     8 retirement = [key id (32 bytes)]                           in the root log: it signs nothing that comes after
 *     9 rules      = [version]                                     in the root log: what commits that cite this position are judged by
 *     10 epoch     = [[epoch, n] | null, reason]                   in any log, the first entry of an epoch: what stood behind `prev` is lost, as far as up to there
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
  | {
      readonly kind: 'grant'
      readonly owner: string
      /** null takes the role away. */
      readonly role: string | null
      /** The owner who asked for it; null for the authority itself. */
      readonly by: string | null
      /** Commits of that owner that cite an older position count only where a checkpoint before this entry covers them. */
      readonly fences: boolean
      /** The first entry of a log: commits of everybody else that cite no position do not count. */
      readonly founding: boolean
      /** SHA-256 of the secret of the invitation that is used by it, hex. */
      readonly invitation?: string
    }
  | { readonly kind: 'revocation'; readonly subject: Subject; readonly reason: string }
  | {
      readonly kind: 'invitation'
      /** SHA-256 of the secret, hex. */
      readonly secret: string
      readonly role: string
      /** ms since 1970 */
      readonly expires: number
      /** How many may come by it; 0 withdraws it. */
      readonly uses: number
      readonly by: string
    }
  | {
      readonly kind: 'erasure'
      /** Whose content is gone. */
      readonly changes: readonly NamedChange[]
      /** Changes of items with erased content that checkpoints before this entry cover and that did not count when it was written. */
      readonly dead: readonly NamedChange[]
      readonly by: string
      readonly reason: string
    }
  | { readonly kind: 'key'; readonly publicKey: Uint8Array }
  | { readonly kind: 'retirement'; readonly signer: string }
  | { readonly kind: 'rules'; readonly version: number }
  | {
      readonly kind: 'epoch'
      /** The last entry that is known to have stood in the epoch before and is kept by nobody who was asked; null when none is missed. */
      readonly lost: Place | null
      readonly reason: string
    }
  /** A statement of a later version: its place in the log counts, what it says is not known here. */
  | { readonly kind: 'unknown' }

/** Where an entry stands, whatever it says. */
export interface Place {
  readonly epoch: number
  readonly n: number
}

/** What a commit does to one item. */
export interface NamedChange {
  readonly commit: string
  readonly key: string
}

/** Whose access ends: one session, or an owner with all sessions. */
export type Subject = { readonly session: string } | { readonly owner: string }

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

const kinds = {
  genesis: 0,
  checkpoint: 1,
  verdict: 2,
  grant: 3,
  revocation: 4,
  invitation: 5,
  erasure: 6,
  key: 7,
  retirement: 8,
  rules: 9,
  epoch: 10,
} as const

/** Statements of the root log alone, and those of every log; all others stand in the logs of repositories. */
const rootKinds: readonly Statement['kind'][] = ['genesis', 'revocation', 'key', 'retirement', 'rules']
const kindsOfAll: readonly Statement['kind'][] = ['epoch', 'unknown']
const fencesFlag = 1
const foundingFlag = 2

const encodeChanges = (changes: readonly NamedChange[]): Plain =>
  changes.map(({ commit, key }) => [fromHex(commit), key])

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
    case 'grant': {
      const flags = (statement.fences ? fencesFlag : 0) + (statement.founding ? foundingFlag : 0)
      const used = statement.invitation === undefined ? [] : [fromHex(statement.invitation)]
      return [kinds.grant, [statement.owner, statement.role, statement.by, flags, ...used]]
    }
    case 'revocation': {
      const { subject, reason } = statement
      return [
        kinds.revocation,
        'session' in subject ? [0, fromHex(subject.session), reason] : [1, subject.owner, reason],
      ]
    }
    case 'invitation':
      return [
        kinds.invitation,
        [fromHex(statement.secret), statement.role, statement.expires, statement.uses, statement.by],
      ]
    case 'erasure':
      return [
        kinds.erasure,
        [encodeChanges(statement.changes), encodeChanges(statement.dead), statement.by, statement.reason],
      ]
    case 'key':
      return [kinds.key, [statement.publicKey]]
    case 'retirement':
      return [kinds.retirement, [fromHex(statement.signer)]]
    case 'rules':
      return [kinds.rules, [statement.version]]
    case 'epoch': {
      const { lost, reason } = statement
      return [kinds.epoch, [lost === null ? null : [lost.epoch, lost.n], reason]]
    }
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

const isName = (value: Plain | undefined): value is string => isText(value) && value !== ''

const isTime = (value: Plain | undefined): value is number =>
  typeof value === 'number' && Number.isSafeInteger(value) && value >= 0

const isPublicKey = (value: Plain | undefined): value is Uint8Array =>
  value instanceof Uint8Array && value.length === 65 && value[0] === 4

const readChanges = (plain: Plain | undefined): NamedChange[] | undefined => {
  if (!Array.isArray(plain) || plain.length > limits.changes) return undefined
  const changes: NamedChange[] = []
  for (const one of plain as readonly Plain[]) {
    if (!Array.isArray(one) || one.length !== 2) return undefined
    const [commit, key] = one as readonly Plain[]
    if (!isHash(commit) || !isName(key)) return undefined
    changes.push({ commit: toHex(commit), key })
  }
  return changes
}

/** By kind: the statement, or undefined when the body is not of its shape. */
const readers: Readonly<Record<number, (list: readonly Plain[]) => Statement | undefined>> = {
  [kinds.genesis]: ([publicKey, name, ...rest]) =>
    isPublicKey(publicKey) && name instanceof Uint8Array && name.length === 16 && rest.length === 0
      ? { kind: 'genesis', publicKey, name }
      : undefined,
  [kinds.checkpoint]: ([headsRoot, stateRoot, moved, ...rest]) => {
    const heads = readMoved(moved)
    if (!isHash(headsRoot) || (stateRoot !== null && !isHash(stateRoot)) || heads === undefined || rest.length > 0)
      return undefined
    return {
      kind: 'checkpoint',
      headsRoot: toHex(headsRoot),
      stateRoot: stateRoot === null ? null : toHex(stateRoot),
      moved: heads,
    }
  },
  [kinds.verdict]: ([commit, key, code, rule, reason, ...rest]) =>
    isHash(commit) && (key === null || isText(key)) && isText(code) && isText(rule) && isText(reason) && !rest.length
      ? { kind: 'verdict', commit: toHex(commit), key, code, rule, reason }
      : undefined,
  [kinds.grant]: ([owner, role, by, flags, ...used]) => {
    if (!isName(owner) || (role !== null && !isName(role)) || (by !== null && !isName(by))) return undefined
    if (!isCount(flags) || flags > fencesFlag + foundingFlag || used.length > 1) return undefined
    const founding = (flags & foundingFlag) !== 0
    if (founding && role === null) return undefined
    const grant = { kind: 'grant', owner, role, by, fences: (flags & fencesFlag) !== 0, founding } as const
    if (used.length === 0) return grant
    const [secret] = used
    return isHash(secret) && flags === 0 && role !== null && by !== null
      ? { ...grant, invitation: toHex(secret) }
      : undefined
  },
  [kinds.revocation]: ([which, subject, reason, ...rest]) => {
    if (!isText(reason) || rest.length > 0) return undefined
    if (which === 0 && isHash(subject)) return { kind: 'revocation', subject: { session: toHex(subject) }, reason }
    return which === 1 && isName(subject) ? { kind: 'revocation', subject: { owner: subject }, reason } : undefined
  },
  [kinds.invitation]: ([secret, role, expires, uses, by, ...rest]) =>
    isHash(secret) && isName(role) && isTime(expires) && isCount(uses) && isName(by) && rest.length === 0
      ? { kind: 'invitation', secret: toHex(secret), role, expires, uses, by }
      : undefined,
  [kinds.erasure]: ([named, listed, by, reason, ...rest]) => {
    const [changes, dead] = [readChanges(named), readChanges(listed)]
    if (changes === undefined || dead === undefined || changes.length + dead.length === 0) return undefined
    if (!isName(by) || !isText(reason) || rest.length > 0) return undefined
    return { kind: 'erasure', changes, dead, by, reason }
  },
  [kinds.key]: ([publicKey, ...rest]) =>
    isPublicKey(publicKey) && rest.length === 0 ? { kind: 'key', publicKey } : undefined,
  [kinds.retirement]: ([signer, ...rest]) =>
    isHash(signer) && rest.length === 0 ? { kind: 'retirement', signer: toHex(signer) } : undefined,
  [kinds.rules]: ([version, ...rest]) =>
    isCount(version) && rest.length === 0 ? { kind: 'rules', version } : undefined,
  [kinds.epoch]: ([lost, reason, ...rest]) => {
    if (!isText(reason) || rest.length > 0) return undefined
    if (lost === null) return { kind: 'epoch', lost, reason }
    if (!Array.isArray(lost) || lost.length !== 2) return undefined
    const [epoch, n] = lost as readonly Plain[]
    return isCount(epoch) && isCount(n) ? { kind: 'epoch', lost: { epoch, n }, reason } : undefined
  },
}

const readStatement = (kind: number, plain: Plain | undefined): Statement | undefined => {
  const reader = readers[kind]
  if (reader === undefined) return { kind: 'unknown' }
  return Array.isArray(plain) ? reader(plain as readonly Plain[]) : undefined
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
  // A statement of the one kind of log in the other would be no statement there.
  const isPlaced = kindsOfAll.includes(statement.kind) || rootKinds.includes(statement.kind) === (log === rootPath)
  if (!isPlaced) return malformed
  if (statement.kind === 'grant' && statement.founding && n !== 0) return malformed
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
