/**
 * How the two ends of a channel prove who they are: each greets, then signs both greetings as they were sent, so that a proof fits this
 * channel, this role and this moment, and everything that was said before it.
 */
import { equalBytes } from '../bytes/bytes.ts'
import { encode } from '../bytes/cbor.ts'
import { limits } from '../bytes/limits.ts'
import { isRefusal, type Refusal, refusal } from '../bytes/refusal.ts'
import { keyId } from '../commit/commit.ts'
import { sessionSaltBytes } from '../sync/fingerprint.ts'
import type { Certificate } from '../trust/certificate.ts'
import { messageOf } from '../trust/signed.ts'
import type { Certificates } from './certificates.ts'
import type { Clock } from './clock.ts'
import type { Peer } from './peer.ts'
import type { Channel, Runtime, SigningKey } from './ports.ts'
import type { RootLog } from './rootlog.ts'
import type { Frame } from './wire.ts'

/** What a handshake needs of its replica. */
export interface HandshakeParts {
  readonly runtime: Runtime
  readonly clock: Clock
  readonly root: RootLog
  readonly certificates: Certificates
  /** The key this replica proves itself with, and its certificate as bytes when it has one. */
  readonly proof: { readonly key: SigningKey; readonly certificate: Uint8Array | null }
  /** Entries of the root log the peer has and this replica has not. */
  takeRoot(entries: readonly Uint8Array[], publicKey: Uint8Array): Promise<Refusal | undefined>
}

/** What becomes of the channel when something is wrong. */
export interface HandshakeEnds {
  /** Sends a frame, and gives it as bytes. */
  send(frame: Frame): Uint8Array
  /** An offence. */
  object(why: Refusal): void
  /** Said to the peer, which may go on. */
  refuse(why: Refusal): void
  /** There is no going on with a peer that does not prove itself. */
  hangUp(why: Refusal): void
  /** The peer belongs elsewhere; the app is told. */
  turnAway(why: Refusal): void
  isClosed(): boolean
}

/** Entries of a log in one frame, bytes: beside a certificate, and well below the limit of a frame. */
const entriesBytes = limits.frameBytes / 2

/** As many entries to each frame as it takes. */
export const inFrames = (entries: readonly Uint8Array[]): Uint8Array[][] => {
  const frames: Uint8Array[][] = []
  let room = 0
  for (const entry of entries) {
    room -= entry.length + 8
    const last = frames.at(-1)
    if (last !== undefined && room >= 0) last.push(entry)
    else {
      frames.push([entry])
      room = entriesBytes - entry.length - 8
    }
  }
  return frames
}

export class Handshake {
  readonly #channel: Channel
  readonly #board: HandshakeParts
  readonly #ends: HandshakeEnds
  /** What this side greeted with, as it was sent, and what the peer did. */
  readonly #greeting: Uint8Array
  #peerGreeting: Uint8Array | undefined
  #peerTime = 0
  #proving = false

  constructor(channel: Channel, board: HandshakeParts, ends: HandshakeEnds) {
    this.#channel = channel
    this.#board = board
    this.#ends = ends
    this.#greeting = ends.send({
      kind: 'greet',
      network: board.root.network ?? null,
      nonce: board.runtime.random(32),
      time: board.clock.now(),
      root: board.root.size,
    })
  }

  /** The peer greeted: proves this side to it. */
  async greeted(frame: Extract<Frame, { kind: 'greet' }>, bytes: Uint8Array): Promise<void> {
    if (this.#peerGreeting !== undefined) return this.#ends.object(refusal('UnknownMessage', 'greet'))
    this.#peerGreeting = bytes
    this.#peerTime = frame.time
    const { root, proof } = this.#board
    if (frame.network !== null && root.network !== undefined && frame.network !== root.network) {
      this.#ends.send({ kind: 'refused', code: 'WrongNetwork', about: frame.network })
      return this.#ends.turnAway(refusal('WrongNetwork', frame.network))
    }
    const { publicKey } = proof.key
    const signature = await proof.key.sign(this.#challenge(publicKey, bytes, this.#channel.initiator))
    const [first = [], ...others] = inFrames(root.lackedBy(frame.root))
    this.#ends.send({ kind: 'prove', publicKey, certificate: proof.certificate, signature, root: first })
    this.#rest = others
  }

  /** What the root log has beyond one frame, for a peer that proved a key. */
  #rest: readonly (readonly Uint8Array[])[] = []

  /** The root log grew: only now may it be known here that the peer's key is the authority's. */
  again(peer: Peer): Peer {
    const { root, clock } = this.#board
    if (peer.isAuthority || !root.isAuthority(peer.publicKey)) return peer
    clock.correct(this.#peerTime)
    return { ...peer, isAuthority: true }
  }

  /** The peer proved itself, or tried: who it is, when it is somebody to go on with. */
  async proved(frame: Extract<Frame, { kind: 'prove' }>): Promise<Peer | undefined> {
    if (this.#peerGreeting === undefined || this.#proving) {
      this.#ends.object(refusal('UnknownMessage', 'prove'))
      return undefined
    }
    this.#proving = true
    const { runtime, root, clock } = this.#board
    const { publicKey } = frame
    const message = this.#challenge(publicKey, this.#peerGreeting, !this.#channel.initiator)
    if (!(await runtime.verify(publicKey, message, frame.signature))) return this.#fails()
    // Whoever dials this replica does not tell it which network it belongs to.
    if (frame.root.length > 0 && (root.network !== undefined || this.#channel.initiator)) {
      const why = await this.#board.takeRoot(frame.root, publicKey)
      if (why !== undefined) {
        this.#ends.turnAway(why)
        return undefined
      }
    }
    const certificate = await this.#certificate(frame)
    if (certificate === 'false' || this.#ends.isClosed()) return undefined
    for (const entries of this.#rest) this.#ends.send({ kind: 'root', entries })
    const isAuthority = root.isAuthority(publicKey)
    if (isAuthority) clock.correct(this.#peerTime)
    const isSelf = this.#channel.isLocal === true && equalBytes(publicKey, this.#board.proof.key.publicKey)
    return { key: keyId(publicKey, (bytes) => runtime.hash(bytes)), publicKey, isAuthority, certificate, isSelf }
  }

  #fails(): undefined {
    this.#ends.hangUp(refusal('BadProof', this.#channel.remote))
  }

  /** The certificate the peer showed, when it is in force. One for another key is no mistake. */
  async #certificate({
    certificate,
    publicKey,
  }: Extract<Frame, { kind: 'prove' }>): Promise<Certificate | 'false' | undefined> {
    if (certificate === null) return undefined
    const read = await this.#board.certificates.admit(certificate)
    if (isRefusal(read)) {
      this.#ends.refuse(read)
      return undefined
    }
    if (!equalBytes(read.publicKey, publicKey)) {
      this.#fails()
      return 'false'
    }
    const { certificates, clock } = this.#board
    if (read.expires > clock.now() && !certificates.isTooLate(read)) return read
    this.#ends.refuse(refusal('CertificateExpired', read.session))
    return undefined
  }

  /** 16 bytes for the conversation about a repository: they follow from both greetings, so that nobody knows them before. */
  salt(path: string): Uint8Array {
    return this.#board.runtime
      .hash(encode([...this.#greetings(this.#peerGreeting ?? new Uint8Array(0)), path]))
      .slice(0, sessionSaltBytes)
  }

  /** Hashes of both greetings, that of whoever dialled first. */
  #greetings(peerGreeting: Uint8Array): readonly [Uint8Array, Uint8Array] {
    const hash = (bytes: Uint8Array): Uint8Array => this.#board.runtime.hash(bytes)
    const [mine, theirs] = [hash(this.#greeting), hash(peerGreeting)]
    return this.#channel.initiator ? [mine, theirs] : [theirs, mine]
  }

  /** What the side with that key signs: its key, both greetings, whether it dialled, and what binds it to this very connection. */
  #challenge(publicKey: Uint8Array, peerGreeting: Uint8Array, dialled: boolean): Uint8Array {
    const hash = (bytes: Uint8Array): Uint8Array => this.#board.runtime.hash(bytes)
    const binding = this.#channel.binding ?? new Uint8Array(0)
    return messageOf('proof', encode([publicKey, ...this.#greetings(peerGreeting), dialled, binding]), hash)
  }
}
