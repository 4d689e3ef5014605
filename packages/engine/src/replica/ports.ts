/**
 * The ports: everything a replica asks of its surroundings. The pure folders never see them; `replica` is the only folder that
 * awaits. An adapter implements a port and nothing else, and runs the contract suite of that port in `test/contracts`.
 */

import type { Refusal } from '../bytes/refusal.ts'

/** Clock, timers, randomness, hash and signatures of the platform, or of the simulator. */
export interface Runtime {
  /** Wall clock, ms since 1970. May jump in either direction. */
  now(): number
  /** Monotonic clock, ms from an arbitrary start. */
  elapsed(): number
  /** Calls `run` once after at least `ms` milliseconds; the returned function cancels it. */
  timer(ms: number, run: () => void): () => void
  /** `length` unpredictable bytes. */
  random(length: number): Uint8Array
  /** SHA-256, synchronous: 32 bytes. */
  hash(bytes: Uint8Array): Uint8Array
  /**
   * Inflates what is one whole stream of raw deflate (RFC 1951) of exactly `size` bytes, and nothing behind it; undefined for anything else. Absent
   * where the platform has nothing quicker than the engine has.
   */
  inflate?(deflated: Uint8Array, size: number): Uint8Array | undefined
  /** A new ECDSA P-256 key pair. */
  generateKey(): Promise<SigningKey>
  /**
   * Whether `signature` (64 bytes, r followed by s) is the low-S ECDSA P-256 SHA-256 signature of `message` under `publicKey` (65 bytes,
   * uncompressed point). False, never a throw, for anything malformed: a wrong length, a point off the curve, s above half the order.
   */
  verify(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): Promise<boolean>
}

/** A private key that signs. Whether its secret can be read is the platform's matter. */
export interface SigningKey {
  /** 65 bytes: 0x04, x, y. */
  readonly publicKey: Uint8Array
  /** 64 bytes, r followed by s, low-S. */
  sign(message: Uint8Array): Promise<Uint8Array>
}

/** Keeps the session key between openings, beside the files and never among them. */
export interface KeyStore {
  load(name: string): Promise<SigningKey | undefined>
  save(name: string, key: SigningKey): Promise<void>
  remove(name: string): Promise<void>
}

/**
 * A flat directory of files. Names match `[0-9a-z._-]{1,80}`. Everything rejects with a `StorageError` whose code is `DiskFull`,
 * `DiskError` or `AlreadyOpen`.
 */
export interface Files {
  /** True where a write whose sync failed is never read: a log need not be copied when it is opened. */
  readonly readsOnlyStored?: true
  /** True from when on somebody else has what was stored here: it may differ from what was written here by now. */
  readonly isLetGo?: boolean
  /** Opens a file for reading and writing; `create` makes it when absent, else `undefined` is returned for an absent one. */
  open(name: string, create: boolean): Promise<File | undefined>
  list(): Promise<string[]>
  /** Atomically replaces `to`; durable after `syncNames`. */
  rename(from: string, to: string): Promise<void>
  /** Removing an absent file is no error. */
  remove(name: string): Promise<void>
  /** Makes creations, renames and removals durable (the directory's fsync). */
  syncNames(): Promise<void>
  /** Excludes every other opener of this directory; rejects with `AlreadyOpen` at once. The returned function releases. */
  lock(): Promise<() => Promise<void>>
}

export interface File {
  size(): Promise<number>
  /** Up to `length` bytes from `offset`; fewer at the end of the file. */
  read(offset: number, length: number): Promise<Uint8Array>
  /** Returns how many bytes were written, which may be fewer than given. Volatile until `sync` resolves. */
  write(offset: number, bytes: Uint8Array): Promise<number>
  /** Everything written is durable when this resolves. After a rejection the handle is not used again, and sync is not retried on it. */
  sync(): Promise<void>
  truncate(size: number): Promise<void>
  close(): Promise<void>
}

/**
 * Makes channels. A client's transport reconnects by itself, with backoff and jitter, and hands over a new channel each time; a
 * server's hands over one for each peer that connects.
 */
export interface Transport {
  start(onChannel: (channel: Channel) => void): void
  /** Closes every channel and makes no more, until it is started again. */
  stop(): Promise<void>
}

/**
 * One connection to one peer: whole binary messages, in order, without gaps, until it closes. A channel that cannot keep that promise
 * closes. (The engine numbers its frames and closes a channel that broke it.)
 */
export interface Channel {
  /** Names the other end in reports: an address or a peer's name. */
  readonly remote: string
  /** Where limits per address count it: an IPv4 address or the /64 of an IPv6 one. Absent where the transport knows none. */
  readonly address?: string
  /** What only this very connection has, the same at both ends (DTLS fingerprints); proofs are bound to it. None over a server's socket. */
  readonly binding?: Uint8Array
  /** True where the other end is on this very device, between tabs of one browser. */
  readonly isLocal?: boolean
  /** True on the side that dialled. */
  readonly initiator: boolean
  /** Bytes accepted by `send` and not yet handed to the network. */
  readonly buffered: number
  /** Queues a message of at most `limits.frameBytes` bytes; sending on a closed channel does nothing. */
  send(message: Uint8Array): void
  /** Sends both as one message, for bodies that many channels are sent. Absent: whoever sends puts them together. */
  sendJoined?(head: Uint8Array, body: Uint8Array): void
  close(reason: string): void
  /** Set once, right after `onChannel`, before any message is delivered. */
  listen(listener: ChannelListener): void
}

export interface ChannelListener {
  message(bytes: Uint8Array): void
  /** `buffered` fell below `limits.channelLowWater`. */
  drain(): void
  closed(reason: string): void
}

/**
 * Makes channels straight to peers. Each end runs an attempt of its own and hands the other what its listener is given as signals, by
 * whatever way: which peers, who begins, what an attempt is called and how long signals hold is the mesh's matter.
 */
export interface PeerTransport {
  /** Begins this end of an attempt. What goes wrong is told to the listener, never thrown. */
  attempt(options: AttemptOptions, listener: AttemptListener): Attempt
  /** Ends every attempt and closes every channel. It may be used again afterwards. */
  stop(): Promise<void>
}

export interface AttemptOptions {
  /** Names the other end in reports. */
  readonly remote: string
  /** True on the side that makes the offer. */
  readonly initiator: boolean
  readonly servers: readonly IceServer[]
  /** Only by way of a TURN server, so that neither side learns the other's address. */
  readonly relayOnly: boolean
}

/** As RTCIceServer has it: `stun:host:port` or `turn:host:port?transport=udp`, with credentials for the latter. */
export interface IceServer {
  readonly urls: readonly string[]
  readonly username?: string
  readonly credential?: string
}

export interface Attempt {
  /** Takes a signal of the other end, as it was given there. Why it is refused, when it is: an attempt survives what strangers say. */
  signal(signal: Uint8Array): Refusal | undefined
  /** Gives up. Nothing is told afterwards. */
  end(): void
}

export interface AttemptListener {
  /** For the other end: at most `limits.signalBytes` bytes, in order. */
  signal(signal: Uint8Array): void
  /** Told once, and nothing after it but signals. The channel's `binding` is set. */
  opened(channel: Channel, path: 'direct' | 'relayed'): void
  /** Told once, and nothing after it. */
  failed(failure: PathFailure): void
}

/** Why no channel came of an attempt. */
export interface PathFailure {
  readonly kind:
    | 'unsupported' // no WebRTC here
    | 'no candidates' // nothing of this device can be reached: no interface, or only relays were asked for and none answered
    | 'no answer' // the other end never answered
    | 'blocked' // both ends have addresses and no packet came through: UDP blocked, or two strict NATs without TURN
    | 'no TURN' // as before, and no TURN server is named
    | 'bad credentials' // the TURN server refused them
    | 'TURN unreachable' // the TURN server did not answer
    | 'broke' // the channel died before it opened
    | 'refused' // a signal broke the rules
  /** What the platform said, for people. */
  readonly detail: string
}
