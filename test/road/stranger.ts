/**
 * A peer made by hand: it speaks frames over a plain Socket.IO client, right or wrong as a test wants, and keeps everything it is told.
 * Commits are composed directly, so that each can be wrong in one point.
 */
import { randomBytes } from 'node:crypto'
import type { Commit, Runtime, SigningKey } from '@weft-db/engine'
import { nodeRuntime } from '@weft-db/runtime/node'
import { io, type Socket } from 'socket.io-client'
import { encode, type Plain } from '../../packages/engine/src/bytes/cbor.ts'
import { isRefusal } from '../../packages/engine/src/bytes/refusal.ts'
import {
  composeCommit,
  type Draft,
  type Header,
  keyId,
  sealCommit,
  sessionId,
  signedBytes,
} from '../../packages/engine/src/commit/commit.ts'
import { decodeFrame, encodeFrame, type Frame } from '../../packages/engine/src/replica/wire.ts'
import { fingerprintBytes } from '../../packages/engine/src/sync/fingerprint.ts'
import { readEntry } from '../../packages/engine/src/trust/entry.ts'
import { messageOf } from '../../packages/engine/src/trust/signed.ts'

export const runtime: Runtime = nodeRuntime()
const { hash } = runtime

type Of<Kind extends Frame['kind']> = Extract<Frame, { kind: Kind }>

/** Names a repository of which nothing is held. */
export const subscribing = (tag: number, path: string): Extract<Frame, { kind: 'subscribe' }> => ({
  kind: 'subscribe',
  tag,
  path,
  log: undefined,
  moved: 0,
  store: new Uint8Array(8),
})

export class Stranger {
  readonly key: SigningKey
  readonly session: string
  /** Everything the server said, in order. */
  readonly heard: Frame[] = []
  /** Resolves when the connection is closed, by whichever side. */
  readonly closed: Promise<void>
  certificate: Uint8Array | undefined
  readonly #socket: Socket
  readonly #nonce = runtime.random(32)
  readonly #listeners = new Set<() => void>()
  /** The greetings as they went over the channel, which the proof is about. */
  #greeting = new Uint8Array(0)
  #greeted = new Uint8Array(0)
  #sent = 0
  #over = false
  #fault: Error | undefined

  private constructor(url: string, key: SigningKey) {
    this.key = key
    this.session = sessionId(key.publicKey, `anonymous:${keyId(key.publicKey, hash)}`, hash)
    this.#socket = io(url, { transports: ['websocket'], reconnection: false, forceNew: true })
    this.#socket.on('frame', (bytes: Uint8Array) => {
      const frame = decodeFrame(new Uint8Array(bytes), this.heard.length)
      if (this.heard.length === 0) this.#greeted = new Uint8Array(bytes)
      if (!('kind' in frame)) {
        this.#fault ??= new Error(
          `the server sent a frame that is ${frame.code} (${frame.about}), after ${this.heard.length}`,
        )
        return this.#look()
      }
      this.heard.push(frame)
      this.#look()
    })
    this.closed = new Promise((resolve) => {
      this.#socket.on('disconnect', () => {
        this.#over = true
        this.#look()
        resolve()
      })
    })
  }

  /** Connected, and greeted by the server; it has said nothing yet. */
  static async connect(url: string, key?: SigningKey): Promise<Stranger> {
    const stranger = new Stranger(url, key ?? (await runtime.generateKey()))
    await stranger.hears('greet')
    return stranger
  }

  /** Proved, as an honest client does it. */
  static async proved(url: string, key?: SigningKey): Promise<Stranger> {
    const stranger = await Stranger.connect(url, key)
    stranger.greet()
    await stranger.prove()
    await stranger.hears('prove')
    return stranger
  }

  /** Certified, and reconciling that repository. */
  static async member(url: string, path: string): Promise<Stranger> {
    const stranger = await Stranger.proved(url)
    stranger.send({ kind: 'login', method: 'anonymous', credentials: 'Mallory' })
    stranger.certificate = (await stranger.hears('certified')).certificate
    stranger.send(subscribing(0, path))
    await stranger.hears('subscribe')
    stranger.sync([0, new Uint8Array(fingerprintBytes), true, null])
    await stranger.hears('sync')
    return stranger
  }

  send(frame: Frame): void {
    this.raw(encodeFrame(this.#sent, frame))
  }

  /** A frame with its right number and whatever follows. */
  sendParts(...parts: Plain[]): void {
    this.raw(encode([this.#sent, ...parts]))
  }

  /** Any bytes at all, in the place of a frame. */
  raw(bytes: Uint8Array): void {
    this.#sent++
    this.#socket.emit('frame', bytes)
  }

  sync(message: Plain): void {
    this.send({ kind: 'sync', tag: 0, message })
  }

  push(...commits: readonly (Commit | Uint8Array)[]): void {
    const bytes = commits.map((commit) => (commit instanceof Uint8Array ? commit : commit.bytes))
    this.sync([5, 0, false, [], bytes, this.certificate === undefined ? [] : [this.certificate]])
  }

  greet(change: Partial<Of<'greet'>> = {}): void {
    const { network } = this.#told('greet')
    const frame: Frame = { kind: 'greet', network, nonce: this.#nonce, time: Date.now(), root: 0, ...change }
    this.#greeting = new Uint8Array(encodeFrame(this.#sent, frame))
    this.raw(this.#greeting)
  }

  async prove(change: Partial<Of<'prove'>> = {}, signer = this.key): Promise<void> {
    const { publicKey } = this.key
    const challenge = encode([publicKey, hash(this.#greeting), hash(this.#greeted), true, new Uint8Array(0)])
    const signature = await signer.sign(messageOf('proof', challenge, hash))
    this.send({ kind: 'prove', publicKey, certificate: null, signature, root: [], ...change })
  }

  /** The next frame of that kind, or one heard already that fits. Rejects when the connection closes without. */
  hears<Kind extends Frame['kind']>(kind: Kind, fits: (frame: Of<Kind>) => boolean = () => true): Promise<Of<Kind>> {
    return new Promise((resolve, reject) => {
      const look = (): void => {
        const found = this.heard.find((frame): frame is Of<Kind> => frame.kind === kind && fits(frame as Of<Kind>))
        if (found === undefined && !this.#over && this.#fault === undefined) return
        this.#listeners.delete(look)
        if (this.#fault !== undefined) reject(this.#fault)
        else if (found === undefined)
          reject(new Error(`closed without ${kind}; heard ${JSON.stringify(this.heard.slice(-3))}`))
        else resolve(found)
      }
      this.#listeners.add(look)
      look()
    })
  }

  /** Codes of what was refused, in frames and in messages of reconciliation. */
  get refusals(): string[] {
    return this.heard.flatMap((frame) => (frame.kind === 'refused' ? [frame.code] : []))
  }

  /** A commit of one change that creates a card, right unless changed. `sign` may sign something else. */
  async commit(
    path: string,
    schema: Draft['schema'],
    change: { header?: Partial<Header>; draft?: Partial<Draft>; after?: Commit; signer?: SigningKey } = {},
  ): Promise<Commit> {
    const network = this.#told('greet').network
    const genesis = readEntry(this.#told('prove').root[0] ?? new Uint8Array(0), hash)
    if (network === null || isRefusal(genesis)) throw new Error('the server showed no network')
    const { after } = change
    const header: Header = {
      network,
      repository: path,
      session: this.session,
      incarnation: after?.incarnation ?? randomBytes(8).toString('hex'),
      seq: after === undefined ? 0 : after.seq + 1,
      prev: after?.id ?? null,
      clock: after === undefined ? Date.now() * 256 : after.clock + 1,
      policy: { root: { epoch: 0, n: 0, hash: genesis.id }, authority: null },
      atomic: false,
      extended: false,
      ...change.header,
    }
    const draft: Draft = {
      key: randomBytes(12).toString('hex'),
      parents: [],
      schema,
      operations: [{ kind: 'touch' }],
      salt: randomBytes(12),
      ...change.draft,
    }
    const unsigned = composeCommit(header, [draft], hash)
    return sealCommit(unsigned, await (change.signer ?? this.key).sign(signedBytes(unsigned.id)))
  }

  get isClosed(): boolean {
    return this.#over
  }

  close(): void {
    this.#socket.disconnect()
  }

  #told<Kind extends Frame['kind']>(kind: Kind): Of<Kind> {
    const found = this.heard.find((frame): frame is Of<Kind> => frame.kind === kind)
    if (found === undefined) throw new Error(`the server has not said ${kind}`)
    return found
  }

  #look(): void {
    for (const listener of [...this.#listeners]) listener()
  }
}
