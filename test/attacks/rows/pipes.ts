/** Row D12: a peer that fills memory by way of a data channel: with messages that never end, with very many, and with answers it does not read. */
import { type Attempt, type Channel, isRefusal, limits, type Transport } from '@weft-db/engine'
import { nodeRuntime } from '@weft-db/runtime/node'
import { webrtcTransport } from '@weft-db/webrtc/node'
import { encodeFrame } from '../../../packages/engine/src/replica/wire.ts'
import { PeerAttempt } from '../../../packages/webrtc/src/attempt.ts'
import { PeerChannel } from '../../../packages/webrtc/src/channel.ts'
import { cut } from '../../../packages/webrtc/src/pieces.ts'
import { readSignal, SignalGate, writeSignal } from '../../../packages/webrtc/src/signal.ts'
import { type LineEvents, layBySimplePeer } from '../../../packages/webrtc/src/simple-peer.ts'
import { stream } from '../../sim/random.ts'
import { occupied } from '../occupied.ts'
import type { Row } from '../row.ts'
import { type Speaker, Spoken } from '../spoken.ts'
import { Target } from '../target.ts'

const looks = 8
const most = 16 * 1_048_576
const never = (): (() => void) => () => undefined

/** A data channel whose network takes nothing: what is sent stays. */
const stuck = () => {
  const pipe = {
    backlog: 0,
    destroyed: false,
    send: (piece: Uint8Array) => {
      pipe.backlog += piece.length
    },
    watch: () => undefined,
    destroy: () => {
      pipe.destroyed = true
    },
  }
  const channel = new PeerChannel({
    remote: 'there',
    initiator: false,
    binding: new Uint8Array(64),
    pipe,
    timer: never,
    report: (error) => {
      throw error
    },
  })
  return { channel, pipe }
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))
/** Fewer than a channel lets wait. */
const together = 500

/** The most that is held while `count` times something is done, eight times looked at. */
const grown = async (count: number, once: (index: number) => void): Promise<number> => {
  const before = await occupied()
  let highest = 0
  for (let part = 0; part < looks; part++) {
    for (let index = Math.ceil((count * part) / looks); index < (count * (part + 1)) / looks; index++) {
      once(index)
      if (index % together === 0) await turn()
    }
    await turn()
    highest = Math.max(highest, (await occupied()) - before)
  }
  return highest
}

const announcing = (length: number, payload = 1): Uint8Array => {
  const piece = new Uint8Array(5 + payload)
  piece[0] = 1
  new DataView(piece.buffer).setUint32(1, length)
  return piece
}

interface Seen {
  readonly grown: number
  /** It did what it must: ended the channel, or heard everything. */
  readonly held: boolean
}

/** One gigabyte is announced, and then sent as far as it is taken. */
const gigabyte = async (count: number): Promise<Seen> => {
  const { channel, pipe } = stuck()
  channel.listen({ message: () => undefined, drain: () => undefined, closed: () => undefined })
  const filler = new Uint8Array(limits.pieceBytes)
  const held = await grown(count, (index) => channel.deliver(index === 0 ? announcing(2 ** 30) : filler))
  return { grown: held, held: pipe.destroyed }
}

/** A message is begun on each of very many channels of which each goes on a byte at a time. */
const crumbs = async (count: number): Promise<Seen> => {
  const { channel, pipe } = stuck()
  let messages = 0
  channel.listen({ message: () => void messages++, drain: () => undefined, closed: () => undefined })
  channel.deliver(announcing(limits.frameBytes))
  const held = await grown(count, () => channel.deliver(Uint8Array.of(0, 7)))
  return { grown: held, held: !pipe.destroyed || messages === 0 }
}

/** Whole messages of a byte: each is handed over, none kept. */
const bytes = async (count: number): Promise<Seen> => {
  const { channel } = stuck()
  let messages = 0
  channel.listen({ message: () => void messages++, drain: () => undefined, closed: () => undefined })
  const held = await grown(count, () => channel.deliver(Uint8Array.of(3, 7)))
  return { grown: held, held: messages === count }
}

const sdp = `v=0\r\nm=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\na=fingerprint:sha-256 ${Array<string>(32).fill('AA').join(':')}\r\n`

/** Messages of a byte before this end knows that the channel is open. */
const early = async (count: number): Promise<Seen> => {
  let events: LineEvents | undefined
  let destroyed = false
  const line = {
    backlog: 0,
    signal: () => undefined,
    send: () => undefined,
    watch: () => undefined,
    destroy: () => {
      destroyed = true
    },
  }
  const attempt = new PeerAttempt(
    { remote: 'there', initiator: false, servers: [], relayOnly: false },
    { signal: () => undefined, opened: () => undefined, failed: () => undefined },
    {
      lay: (_, given) => {
        events = given
        return line
      },
      timer: never,
      patience: 1,
      grace: 1,
      report: () => undefined,
      over: () => undefined,
    },
  )
  attempt.signal(writeSignal({ kind: 'offer', sdp }))
  const held = await grown(count, () => {
    if (!destroyed) events?.piece(Uint8Array.of(3, 7))
  })
  return { grown: held, held: destroyed }
}

/** Each answer repeats the name. */
const asking = {
  kind: 'subscribe',
  tag: 1,
  path: 'x'.repeat(180),
  log: undefined,
  moved: 0,
  store: new Uint8Array(8),
} as const

/** A peer that proved itself asks a replica again and again, and reads no answer. */
const unread = async (count: number, seed: string): Promise<Seen> => {
  let bring: ((channel: Channel) => void) | undefined
  const transport: Transport = {
    start: (onChannel) => {
      bring = onChannel
    },
    stop: async () => undefined,
  }
  const server = await Target.open(`${seed} server`, { signatures: 'fast' })
  const target = await Target.open(seed, { of: server, transports: [transport] })
  try {
    const { channel, pipe } = stuck()
    const person: Speaker = await server.person()
    // The peer's own end: what it says goes straight in, and what it is told at first it hears.
    let hear: ((message: Uint8Array) => void) | undefined
    const plain = pipe.send
    pipe.send = (piece) => {
      if (hear === undefined || piece[0] !== 3) plain(piece)
      else hear(piece.slice(1))
    }
    const far: Channel = {
      remote: 'here',
      initiator: true,
      buffered: 0,
      send: (message) => {
        const pieces = cut(message)
        queueMicrotask(() => {
          for (const piece of pieces) channel.deliver(piece)
        })
      },
      close: () => undefined,
      listen: (listener) => {
        hear = (message) => queueMicrotask(() => listener.message(message))
      },
    }
    const spoken = new Spoken(far, person, { network: target.network, binding: channel.binding })
    bring?.(channel)
    for (let left = 200; left > 0 && !spoken.isProved; left--) await turn()
    if (!spoken.isProved) throw new Error('the peer is not taken for anybody')
    hear = undefined
    let number = 2
    const held = await grown(count, () => {
      target.incidents.length = 0
      for (const piece of cut(encodeFrame(number++, asking))) channel.deliver(piece)
    })
    // Nothing waits on a channel that was closed.
    return { grown: held, held: channel.buffered === 0 && pipe.backlog > 0 }
  } finally {
    await target.close()
    await server.close()
  }
}

/** A peer with a data channel of its own, over real WebRTC, that sends pieces as it likes to an end of ours. */
const overWebrtc = async (pieces: number): Promise<Seen> => {
  const load = (): Promise<unknown> => import('@roamhq/wrtc')
  const { default: platform } = await import('@roamhq/wrtc')
  const transport = await webrtcTransport({ load })
  let [heard, closed] = [0, '']
  let changed = (): void => undefined
  const until = async (holds: () => boolean): Promise<void> => {
    while (!holds())
      await new Promise<void>((resolve) => {
        changed = resolve
      })
  }
  let [isOpen, failed] = [false, '']
  const own: { attempt?: Attempt } = {}
  const gate = new SignalGate(true, false)
  const options = { remote: 'there', servers: [], relayOnly: false }
  const line = layBySimplePeer(platform, nodeRuntime().timer)(
    { ...options, initiator: true },
    {
      signal: (signal) => {
        const bytes = gate.release(signal)
        if (bytes !== undefined) own.attempt?.signal(bytes)
      },
      candidateError: () => undefined,
      gathered: () => undefined,
      ice: () => undefined,
      open: () => {
        isOpen = true
        changed()
      },
      piece: () => undefined,
      low: () => undefined,
      gone: ({ reason }) => {
        failed = reason
        changed()
      },
    },
  )
  own.attempt = transport.attempt(
    { ...options, initiator: false },
    {
      signal: (bytes) => {
        const signal = readSignal(bytes)
        if (!isRefusal(signal)) line.signal(signal)
      },
      opened: (channel) =>
        channel.listen({
          message: () => {
            heard++
            changed()
          },
          drain: () => undefined,
          closed: (reason) => {
            closed = reason
            changed()
          },
        }),
      failed: ({ detail }) => {
        failed = detail
        changed()
      },
    },
  )
  try {
    await until(() => isOpen || failed !== '')
    if (!isOpen) throw new Error(failed)
    let sent = 0
    const held = await grown(pieces, () => {
      line.send(Uint8Array.of(3, 7))
      sent++
    })
    await until(() => heard === sent || closed !== '')
    const tookAll = heard === sent
    line.send(Uint8Array.from(announcing(2 ** 30)))
    // An end that took the announcement hears what cannot follow it.
    line.send(Uint8Array.of(3, 7))
    await until(() => closed !== '')
    return { grown: held, held: tookAll && closed.includes(String(2 ** 30)) }
  } finally {
    line.destroy()
    await transport.stop()
  }
}

/**
 * D12: a gigabyte announced, and `trials` pieces of a byte: of one message, as messages, before the channel is open, as questions whose answers
 * are not read; and a fiftieth of them over real WebRTC. A violation is more than 16 MiB held, or a channel that goes on where it must end.
 */
export const pipes: Row = async ({ trials, seed }) => {
  const { seed: label } = stream(seed, 'D12')
  const ways: readonly (readonly [string, (count: number) => Promise<Seen>])[] = [
    ['gigabyte', (count) => gigabyte(Math.min(count, 2 ** 30 / limits.pieceBytes))],
    ['crumbs', crumbs],
    ['bytes', bytes],
    ['early', early],
    ['unread', (count) => unread(count, label)],
    ['webrtc', (count) => overWebrtc(Math.ceil(count / 50))],
  ]
  let [violations, first] = [0, '']
  const figures: Record<string, number> = {}
  for (const [name, attack] of ways) {
    const seen = await attack(trials)
    figures[`${name}Bytes`] = Math.max(0, seen.grown)
    if (seen.grown <= most && seen.held) continue
    violations++
    first ||= `${name}: ${seen.grown} bytes${seen.held ? '' : ', and it went on'}`
  }
  return { trials: trials * ways.length, violations, first, ...figures }
}
