/**
 * Row E5: whoever carries the signals puts itself in between. It changes the fingerprints, so that both ends open a channel to it and it carries
 * their frames from one to the other, or speaks for itself; in memory, and over real WebRTC with real DTLS certificates.
 */
import type { Attempt, AttemptListener, Channel, Database, PeerTransport, Transport } from '@weft-db/engine'
import { webrtcTransport } from '@weft-db/webrtc/node'
import { decodeFrame, type Frame } from '../../../packages/engine/src/replica/wire.ts'
import { meet, type Outcome } from '../../contracts/peers.ts'
import { board, Card, Lab, type Replica } from '../../road/lab.ts'
import { memoryPair } from '../../sim/memory-transport.ts'
import { mustHold, type Row } from '../row.ts'
import { Spoken } from '../spoken.ts'
import { Target } from '../target.ts'

/** What an end may say before the other one has proved itself; and why it goes. */
const harmless: ReadonlySet<Frame['kind']> = new Set(['greet', 'prove', 'root', 'refused'])

/** Two channels, each the victim's one end, whose messages go from one to the other as they are or changed. */
const joinChannels = (
  one: Channel,
  other: Channel,
  see: (bytes: Uint8Array, from: Channel) => Uint8Array | undefined,
): void => {
  const ways = [
    [one, other],
    [other, one],
  ] as const
  for (const [from, to] of ways)
    from.listen({
      message: (bytes) => {
        const seen = see(bytes, from)
        if (seen !== undefined) to.send(seen)
      },
      drain: () => undefined,
      closed: () => to.close('the other end closed'),
    })
}

/** Everything that the ends said, as the middleman reads it. */
class Notes {
  readonly #counts = new Map<Channel, number>()
  leaked = 0

  read(bytes: Uint8Array, from: Channel): void {
    const number = this.#counts.get(from) ?? 0
    this.#counts.set(from, number + 1)
    const frame = decodeFrame(bytes, number)
    if (!('kind' in frame) || !harmless.has(frame.kind)) this.leaked++
  }
}

type Trick = 'swapped' | 'speaks for itself' | 'changes a greeting' | 'reflects' | 'honest'
const tricks: readonly Trick[] = ['swapped', 'speaks for itself', 'changes a greeting', 'reflects']

interface Half {
  readonly name: string
  readonly listener: AttemptListener
  readonly initiator: boolean
  over: boolean
}

/** Carries the signals of all, and sits in every channel. */
class Middleman {
  readonly lab: Lab
  readonly notes = new Notes()
  trick: (number: number) => Trick = () => 'honest'
  /** Channels that it sat in, or speaks on. */
  joined = 0
  #offers = 0
  /** Who it speaks as. */
  readonly #own: ConstructorParameters<typeof Spoken>[1]
  readonly #network: string
  readonly spoken: Spoken[] = []
  readonly #waiting = new Map<string, Half>()

  constructor(lab: Lab, network: string, own: ConstructorParameters<typeof Spoken>[1]) {
    this.lab = lab
    this.#network = network
    this.#own = own
  }

  transport(name: string): PeerTransport {
    return {
      attempt: ({ initiator }, listener): Attempt => {
        const half: Half = { name, listener, initiator, over: false }
        if (initiator)
          this.lab.world.at(1, 'offer', () => {
            if (half.over) return
            const token = `${name} ${++this.#offers}`
            this.#waiting.set(token, half)
            listener.signal(new TextEncoder().encode(token))
          })
        return {
          signal: (bytes) => {
            const token = new TextDecoder().decode(bytes)
            const offered = this.#waiting.get(token)
            if (initiator || offered === undefined) return undefined
            this.#waiting.delete(token)
            listener.signal(bytes)
            this.lab.world.at(20, 'middleman', () => this.#join(offered, half))
            return undefined
          },
          end: () => {
            half.over = true
          },
        }
      },
      stop: async () => undefined,
    }
  }

  #join(offered: Half, answered: Half): void {
    if (offered.over || answered.over) return
    const number = this.joined++
    const trick = this.trick(number)
    const ends = [offered, answered].map((half, index) => {
      const pair = memoryPair()
      const [mine, theirs] = half.initiator ? [pair.a, pair.b] : [pair.b, pair.a]
      // Fingerprints of the end's own certificate and of the middleman's, which has another one for each.
      const binding = new Uint8Array(64).fill(trick === 'honest' ? 1 : 2 + index)
      mine.start((channel) => half.listener.opened(Object.assign(channel, { binding }), 'direct'))
      half.over = true
      let far: Channel | undefined
      theirs.start((channel) => {
        far = channel
      })
      return { pair, far: () => far, binding }
    })
    for (const { pair } of ends) pair.connect()
    const [one, other] = ends.map(({ far }) => far())
    if (one === undefined || other === undefined) throw new Error('no channel')
    const see = (bytes: Uint8Array, from: Channel): Uint8Array | undefined => {
      if (trick !== 'honest') this.notes.read(bytes, from)
      return bytes
    }
    switch (trick) {
      case 'honest':
      case 'swapped':
        return joinChannels(one, other, see)
      case 'changes a greeting': {
        let changed = false
        return joinChannels(one, other, (bytes, from) => {
          see(bytes, from)
          if (changed || from !== one) return bytes
          changed = true
          // Its last bytes are how many entries the sender holds, before that the time.
          const copy = bytes.slice()
          copy[copy.length - 2] = (copy[copy.length - 2] ?? 0) ^ 1
          return copy
        })
      }
      case 'reflects':
        for (const channel of [one, other])
          channel.listen({
            message: (bytes) => {
              see(bytes, channel)
              channel.send(bytes)
            },
            drain: () => undefined,
            closed: () => undefined,
          })
        return
      case 'speaks for itself':
        for (const [index, channel] of [one, other].entries()) {
          const binding = ends[index]?.binding ?? new Uint8Array(0)
          this.spoken.push(new Spoken(channel, this.#own, { network: this.#network, binding }))
        }
    }
  }
}

const reasons: ReadonlySet<string> = new Set(['BadProof', 'WrongPeer', 'Gap', 'Malformed'])

/** `trials` channels in memory. */
const inMemory = async (trials: number, seed: string) => {
  const lab = new Lab(`${seed} E5`)
  const authority = await lab.authority()
  const { network } = authority.database
  if (network === undefined) throw new Error('there is no network')
  // A member like others, whose key the middleman has.
  const eve = await lab.join('eve')
  const key = lab.device('eve').keys.get('session') ?? [...lab.device('eve').keys.values()][0]
  const certificate = authority.database.certificates.get(eve.database.person?.session ?? '')
  if (key === undefined || certificate === undefined) throw new Error('the middleman is nobody')
  const middleman = new Middleman(lab, network, { key, certificate })
  const replicas: Replica[] = []
  for (const name of ['ada', 'bob', 'joe', 'kim', 'lou', 'max']) {
    const replica = await lab.join(name, { mesh: { transport: middleman.transport(name), mode: 'direct' } })
    middleman.trick = (number) => tricks[number % tricks.length] ?? 'swapped'
    replicas.push(replica)
    const repository = replica.database.repository(board)
    await lab.until(() => repository.synced)
    if (replicas.length === 1) repository.create(Card, { title: 'secret' })
  }
  let undetected = 0
  while (middleman.joined < trials) {
    await lab.run(5_000)
    for (const { database } of replicas)
      undetected += database.mesh.paths.filter(({ kind }) => kind === 'direct' || kind === 'relayed').length
    if (undetected > 0) break
  }
  const detected = replicas.reduce(
    (sum, { incidents }) => sum + incidents.filter(({ code }) => reasons.has(code)).length,
    0,
  )
  const leaks =
    middleman.notes.leaked +
    middleman.spoken.reduce((sum, { heard }) => sum + heard.filter(({ kind }) => !harmless.has(kind)).length, 0)
  const { joined } = middleman
  // Each channel has two ends, and each of them saw it or was left by the other one.
  const missed = Math.max(0, joined - detected)
  // Left alone, they meet.
  middleman.trick = () => 'honest'
  for (let minutes = 0; minutes < 60 && replicas.every(({ database }) => !isJoined(database)); minutes++)
    await lab.run(60_000)
  mustHold(
    replicas.some(({ database }) => isJoined(database)),
    'nobody meets without a middleman',
    undetected + leaks + missed,
  )
  return { joined, undetected: undetected + missed, leaks }
}

const isJoined = (database: Database): boolean => database.mesh.paths.some(({ kind }) => kind === 'direct')

/** A transport whose channels a row brings. */
const brought = (): { readonly transport: Transport; bring(channel: Channel): void } => {
  let take: ((channel: Channel) => void) | undefined
  return {
    transport: {
      start: (onChannel) => {
        take = onChannel
      },
      stop: async () => undefined,
    },
    bring: (channel) => take?.(channel),
  }
}

/** Two channels that open each in its time, joined. */
const relay = (notes: Notes): readonly [(channel: Channel) => void, (channel: Channel) => void] => {
  const ends: Channel[] = []
  const waiting: [from: Channel, bytes: Uint8Array][] = []
  const end = (channel: Channel): void => {
    ends.push(channel)
    channel.listen({
      message: (bytes) => {
        notes.read(bytes, channel)
        const other = ends.find((one) => one !== channel)
        if (other === undefined) waiting.push([channel, bytes.slice()])
        else other.send(bytes)
      },
      drain: () => undefined,
      closed: () => {
        for (const other of ends) if (other !== channel) other.close('the other end closed')
      },
    })
    for (const [from, bytes] of waiting.splice(0)) if (from !== channel) channel.send(bytes)
  }
  return [end, end]
}

/** A pair of replicas over real data channels: straight, or through the two connections of a middleman. */
const overDtls = async (seed: string, isMeddled: boolean): Promise<{ met: boolean; leaked: number }> => {
  const [servers, clients] = [brought(), brought()]
  const server = await Target.open(`${seed} server`, { transports: [servers.transport] })
  const client = await Target.open(`${seed} client`, { of: server, transports: [clients.transport] })
  const load = (): Promise<unknown> => import('@roamhq/wrtc')
  const transports = await Promise.all(Array.from({ length: 4 }, () => webrtcTransport({ load })))
  const [first, second, third, fourth] = transports
  if (first === undefined || second === undefined || third === undefined || fourth === undefined)
    throw new Error('four')
  const notes = new Notes()
  const straight = { carry: async (signal: Uint8Array) => signal }
  try {
    const met = await new Promise<boolean>((resolve, reject) => {
      const given = (take: (channel: Channel) => void) => (outcome: Outcome) =>
        'channel' in outcome ? take(outcome.channel) : reject(new Error(outcome.failure.detail))
      client.database.onStatus(({ connection }) => {
        if (connection === 'online') resolve(true)
      })
      for (const { database } of [client, server])
        database.onIncident(({ code }) => {
          if (code === 'BadProof') resolve(false)
        })
      if (!isMeddled) return meet(first, second, straight, given(clients.bring), given(servers.bring))
      const [near, far] = relay(notes)
      meet(first, second, straight, given(clients.bring), given(near))
      meet(third, fourth, straight, given(far), given(servers.bring))
    })
    return { met, leaked: notes.leaked }
  } finally {
    await client.close()
    await server.close()
    await Promise.all(transports.map((transport) => transport.stop()))
  }
}

/** Of a hundred channels, so many are real ones; they take half a second each. */
const realShare = 50

/**
 * E5: `trials` channels with somebody in between, one in fifty of them over real WebRTC. A violation is an end that goes on, or a frame beyond
 * greeting and proof.
 */
export const middlemen: Row = async ({ trials, seed }) => {
  const real = Math.ceil(trials / realShare)
  const straight = await overDtls(`${seed} straight`, false)
  let [undetected, leaked] = [0, 0]
  for (let trial = 0; trial < real; trial++) {
    const seen = await overDtls(`${seed} ${trial}`, true)
    if (seen.met) undetected++
    leaked += seen.leaked
  }
  const memory = await inMemory(trials - real, seed)
  const violations = undetected + leaked + memory.undetected + memory.leaks
  mustHold(straight.met, 'two do not meet over WebRTC', violations)
  return {
    trials: real + memory.joined,
    violations,
    undetected: undetected + memory.undetected,
    leakedFrames: leaked + memory.leaks,
    overWebrtc: real,
  }
}
