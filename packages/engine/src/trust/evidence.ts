/**
 * Evidence of a fork: two things that one key signed for one place where only one may stand, in a file that anybody can check who has
 * nothing else. It proves that the key was used so; it cannot be made without the key.
 *
 *     evidence = [format, kind, network, [entry of the root log, ...], certificate | null, first, second]
 *     kind 0: two entries of one log at one position of one epoch; the authority signed both
 *     kind 1: two commits of one repository's chain with one number; the certificate says whose key signed both
 *
 * The entries of the root log begin with genesis, whose hash is the network, and lead to the authority's key. Of the two, the one with
 * the lower id comes first, so that whoever met the fork from either side names the same.
 */
import { toHex } from '../bytes/bytes.ts'
import { decode, encode, type Plain } from '../bytes/cbor.ts'
import { limits } from '../bytes/limits.ts'
import { isRefusal, type Refusal, refusal } from '../bytes/refusal.ts'
import { type Commit, format, type Hash, readCommit, signedBytes } from '../commit/commit.ts'
import { type Certificate, readCertificate } from './certificate.ts'
import { type Entry, readEntry } from './entry.ts'
import { messageOf, type Signed } from './signed.ts'

export type Fork =
  | { readonly kind: 'log'; readonly first: Entry; readonly second: Entry }
  | { readonly kind: 'chain'; readonly first: Commit; readonly second: Commit; readonly certificate: Certificate }

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

const kinds = { log: 0, chain: 1 } as const
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
  const { first: a, second: b, certificate } = fork
  // A chain belongs to its repository: in another one the same name is another chain.
  if (a.repository !== b.repository || a.chain !== b.chain || a.seq !== b.seq) return wrong('two places in the chains')
  return certificate.session === a.session && certificate.network === a.network
    ? undefined
    : wrong('the certificate is of another session')
}

/** Throws a TypeError for what is no fork. `root`: entries as signed. */
export const encodeEvidence = (fork: Fork, root: readonly Signed[], network: Uint8Array): Uint8Array => {
  const why = differs(fork)
  if (why !== undefined) throw new TypeError(`evidence of ${why.about}`)
  const pair = [fork.first, fork.second].sort((a, b) => (a.id < b.id ? -1 : 1)).map(({ bytes }) => bytes)
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
  if (!(first instanceof Uint8Array) || !(second instanceof Uint8Array)) return malformed
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
  a: Uint8Array,
  b: Uint8Array,
  certificate: Plain | undefined,
  hash: Hash,
): Fork | Refusal => {
  if (kind === kinds.log && certificate === null) {
    const [first, second] = [readEntry(a, hash), readEntry(b, hash)]
    if (isRefusal(first)) return first
    return isRefusal(second) ? second : { kind: 'log', first, second }
  }
  if (kind !== kinds.chain || !(certificate instanceof Uint8Array)) return refusal('Malformed', 'evidence')
  const [first, second] = [readCommit(a, hash), readCommit(b, hash)]
  const whose = readCertificate(certificate, hash)
  if (isRefusal(first)) return first
  if (isRefusal(second)) return second
  return isRefusal(whose) ? whose : { kind: 'chain', first, second, certificate: whose }
}

/** Every signature that has to hold, those of the root log apart. */
export const claimsOf = ({ fork }: Evidence, hash: Hash): Claim[] => {
  if (fork.kind === 'log')
    return [fork.first, fork.second].map(({ signer, body, signature }) => ({
      signer,
      message: messageOf('entry', body, hash),
      signature,
    }))
  const { certificate } = fork
  return [
    {
      signer: certificate.signer,
      message: messageOf('certificate', certificate.body, hash),
      signature: certificate.signature,
    },
    ...[fork.first, fork.second].map(({ id, signature }) => ({
      signer: undefined,
      message: signedBytes(id),
      signature,
    })),
  ]
}
