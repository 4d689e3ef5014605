/**
 * Evidence of a fork: two things that one key signed for one place where only one may stand, in a file that anybody can check who has
 * nothing else. It proves that the key was used so; it cannot be made without the key.
 *
 *     evidence = [format, kind, network, [entry of the root log, ...], certificate | null, first, second]
 *     kind 0: two entries of one log at one position of one epoch; the authority signed both
 *     kind 1: two commits of one repository's chain with one number; the certificate says whose key signed both. A commit inside a run is
 *             a list, of it and those after it up to the one that is signed
 *     kind 2: two certificates of one account with one number; the authority signed both
 *
 * The entries of the root log begin with genesis, whose hash is the network, and lead to the authority's key. Of the two, the one with
 * the lower id comes first, so that whoever met the fork from either side names the same.
 */
import { toHex } from '../bytes/bytes.ts'
import { decode, encode, type Plain } from '../bytes/cbor.ts'
import { limits } from '../bytes/limits.ts'
import { isRefusal, type Refusal, refusal } from '../bytes/refusal.ts'
import { type Commit, format, type Hash, readCommit, signedBytes } from '../commit/commit.ts'
import { isRun, type Run } from '../commit/run.ts'
import { type Certificate, readCertificate } from './certificate.ts'
import { type Entry, readEntry } from './entry.ts'
import { messageOf, type Signed } from './signed.ts'

export type Fork =
  | { readonly kind: 'log'; readonly first: Entry; readonly second: Entry }
  | { readonly kind: 'certificate'; readonly first: Certificate; readonly second: Certificate }
  | ChainFork

export interface ChainFork {
  readonly kind: 'chain'
  readonly first: Commit
  readonly second: Commit
  /** Those that vouch for the two, by the id of either: the commits after it up to the one that is signed. */
  readonly vouchers?: ReadonlyMap<string, readonly Commit[]>
  readonly certificate: Certificate
}

export interface Evidence {
  readonly network: string
  /** The root log from genesis on, as far as the signatures need it. */
  readonly root: readonly Entry[]
  readonly fork: Fork
}

/** A signature that must hold for the evidence to prove something. `signer` is undefined for the session's own. */
export interface Claim {
  readonly signer: string | undefined
  readonly message: Uint8Array
  readonly signature: Uint8Array
}

const kinds = { log: 0, chain: 1, certificate: 2 } as const
const bounds = { bytes: limits.evidenceBytes, depth: 2, nodes: limits.nodes }

/** Why the two are no fork: they must claim one place and differ. */
const differs = (fork: Fork): Refusal | undefined => {
  const { first, second } = fork
  const wrong = (about: string): Refusal => refusal('NotEvidence', about)
  if (first.network !== second.network) return wrong('two networks')
  if (first.id === second.id) return wrong('the same twice')
  if (fork.kind === 'log') {
    const { first: a, second: b } = fork
    return a.log === b.log && a.epoch === b.epoch && a.n === b.n ? undefined : wrong('two places in the logs')
  }
  if (fork.kind === 'certificate') {
    const { first: a, second: b } = fork
    return a.owner === b.owner && a.number === b.number ? undefined : wrong('two numbers, or two accounts')
  }
  const { first: a, second: b, certificate } = fork
  // A chain belongs to its repository: in another one the same name is another chain.
  if (a.repository !== b.repository || a.chain !== b.chain || a.seq !== b.seq) return wrong('two places in the chains')
  for (const commit of [a, b]) if (!isRun(runOf(fork, commit))) return wrong('a commit that nobody signed')
  return certificate.session === a.session && certificate.network === a.network
    ? undefined
    : wrong('the certificate is of another session')
}

const runOf = ({ vouchers }: ChainFork, commit: Commit): Run => [commit, ...(vouchers?.get(commit.id) ?? [])]

/** Throws a TypeError for what is no fork. `root`: entries as signed. */
export const encodeEvidence = (fork: Fork, root: readonly Signed[], network: Uint8Array): Uint8Array => {
  const why = differs(fork)
  if (why !== undefined) throw new TypeError(`evidence of ${why.about}`)
  const sides =
    fork.kind === 'chain'
      ? [fork.first, fork.second].map((commit) => runOf(fork, commit))
      : [[fork.first], [fork.second]]
  const pair = sides
    .sort(([a], [b]) => ((a?.id ?? '') < (b?.id ?? '') ? -1 : 1))
    .map((units) => units.map(({ bytes }) => bytes))
    .map((records) => (records.length === 1 && records[0] !== undefined ? records[0] : records))
  const certificate = fork.kind === 'chain' ? fork.certificate.bytes : null
  return encode([format, kinds[fork.kind], network, root.map(({ bytes }) => bytes), certificate, ...pair])
}

/** Reads a file of evidence: everything is checked but the signatures (`claimsOf`) and that the root log leads to their keys. */
export const readEvidence = (bytes: Uint8Array, hash: Hash): Evidence | Refusal => {
  const decoded = decode(bytes, bounds)
  if (isRefusal(decoded)) return decoded
  const malformed = refusal('Malformed', 'evidence')
  if (!Array.isArray(decoded) || decoded.length !== 7) return malformed
  const [version, kind, network, entries, certificate, first, second] = decoded as readonly Plain[]
  if (version !== format) return typeof version === 'number' ? refusal('UnknownFormat', 'evidence') : malformed
  if (!(network instanceof Uint8Array) || network.length !== 32 || !Array.isArray(entries)) return malformed
  const root: Entry[] = []
  for (const plain of entries as readonly Plain[]) {
    if (!(plain instanceof Uint8Array)) return malformed
    const entry = readEntry(plain, hash)
    if (isRefusal(entry)) return entry
    root.push(entry)
  }
  const fork = readFork(kind, first, second, certificate, hash)
  if (isRefusal(fork)) return fork
  const why = differs(fork)
  if (why !== undefined) return why
  if (fork.first.id > fork.second.id) return refusal('NotEvidence', 'the two are out of order')
  const name = toHex(network)
  return fork.first.network === name ? { network: name, root, fork } : refusal('WrongNetwork', fork.first.network)
}

const readFork = (
  kind: Plain | undefined,
  a: Plain | undefined,
  b: Plain | undefined,
  certificate: Plain | undefined,
  hash: Hash,
): Fork | Refusal => {
  if (kind === kinds.log && certificate === null && a instanceof Uint8Array && b instanceof Uint8Array) {
    const [first, second] = [readEntry(a, hash), readEntry(b, hash)]
    if (isRefusal(first)) return first
    return isRefusal(second) ? second : { kind: 'log', first, second }
  }
  if (kind === kinds.certificate && certificate === null && a instanceof Uint8Array && b instanceof Uint8Array) {
    const [first, second] = [readCertificate(a, hash), readCertificate(b, hash)]
    if (isRefusal(first)) return first
    return isRefusal(second) ? second : { kind: 'certificate', first, second }
  }
  if (kind !== kinds.chain || !(certificate instanceof Uint8Array)) return refusal('Malformed', 'evidence')
  const [one, other] = [readRun(a, hash), readRun(b, hash)]
  const whose = readCertificate(certificate, hash)
  if (isRefusal(one)) return one
  if (isRefusal(other)) return other
  if (isRefusal(whose)) return whose
  const [first, ...firstVouchers] = one
  const [second, ...secondVouchers] = other
  if (first === undefined || second === undefined) return refusal('Malformed', 'evidence')
  const vouchers = new Map([
    [first.id, firstVouchers],
    [second.id, secondVouchers],
  ])
  return { kind: 'chain', first, second, vouchers, certificate: whose }
}

const readRun = (plain: Plain | undefined, hash: Hash): Commit[] | Refusal => {
  const records = Array.isArray(plain) ? (plain as readonly Plain[]) : [plain]
  if (Array.isArray(plain) && records.length < 2) return refusal('Malformed', 'evidence')
  const run: Commit[] = []
  for (const record of records) {
    if (!(record instanceof Uint8Array)) return refusal('Malformed', 'evidence')
    const commit = readCommit(record, hash)
    if (isRefusal(commit)) return commit
    run.push(commit)
  }
  return run
}

/** Every signature that has to hold, those of the root log apart. */
export const claimsOf = ({ fork }: Evidence, hash: Hash): Claim[] => {
  if (fork.kind !== 'chain') {
    const kind = fork.kind === 'log' ? 'entry' : 'certificate'
    return [fork.first, fork.second].map(({ signer, body, signature }) => ({
      signer,
      message: messageOf(kind, body, hash),
      signature,
    }))
  }
  const { certificate } = fork
  return [
    {
      signer: certificate.signer,
      message: messageOf('certificate', certificate.body, hash),
      signature: certificate.signature,
    },
    ...[fork.first, fork.second].map((commit) => {
      const { id, signature } = runOf(fork, commit).at(-1) ?? commit
      return { signer: undefined, message: signedBytes(id), signature }
    }),
  ]
}
