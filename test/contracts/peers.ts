/** Two WebRTC transports as the pair of the transport contract: who dials makes attempts, and this carries their signals. */
import { type AttemptOptions, type Channel, isRefusal, type PathFailure, type PeerTransport } from '@weft-db/engine'
import type { Pair } from './transport.ts'

/** The way between the ends. */
export interface Way {
  /** The signal that the other end is given, or none. */
  carry(signal: Uint8Array): Promise<Uint8Array | undefined>
  hold(): void
  release(): void
  end(): Promise<void>
}

export type Outcome =
  | { readonly channel: Channel; readonly path: 'direct' | 'relayed' }
  | { readonly failure: PathFailure }

/** Signals of one end for the other, one after the other. */
export const carrier = (
  way: Pick<Way, 'carry'>,
  take: (signal: Uint8Array) => unknown,
): ((signal: Uint8Array) => void) => {
  let last: Promise<unknown> = Promise.resolve()
  return (signal) => {
    last = last.then(async () => {
      const carried = await way.carry(signal)
      if (carried === undefined) return
      const refused = take(carried)
      if (isRefusal(refused)) throw new Error(`${refused.code}: ${refused.about}`)
    })
  }
}

/** Makes both ends of one attempt. The callbacks hear what becomes of each. */
export const meet = (
  dialling: PeerTransport,
  accepting: PeerTransport,
  way: Pick<Way, 'carry'>,
  onDialled: (outcome: Outcome) => void,
  onAccepted: (outcome: Outcome) => void,
  about: Partial<AttemptOptions> = {},
): void => {
  const plain = { servers: [], relayOnly: false, ...about }
  const there = carrier(way, (signal) => accepted.signal(signal))
  const back = carrier(way, (signal) => dialled.signal(signal))
  const told = (outcome: (told: Outcome) => void) => ({
    opened: (channel: Channel, path: 'direct' | 'relayed') => outcome({ channel, path }),
    failed: (failure: PathFailure) => outcome({ failure }),
  })
  const accepted = accepting.attempt(
    { ...plain, remote: 'who dials', initiator: false },
    { signal: back, ...told(onAccepted) },
  )
  const dialled = dialling.attempt(
    { ...plain, remote: 'who accepts', initiator: true },
    { signal: there, ...told(onDialled) },
  )
}

export const peerPair = async (make: () => Promise<PeerTransport>, way: Way): Promise<Pair> => {
  const [dialling, accepting] = await Promise.all([make(), make()])
  const others: PeerTransport[] = []
  let take: { dialled: (channel: Channel) => void; accepted: (channel: Channel) => void } | undefined
  const opened = (onChannel: ((channel: Channel) => void) | undefined) => (outcome: Outcome) => {
    if ('channel' in outcome) onChannel?.(outcome.channel)
    else throw new Error(`${outcome.failure.kind}: ${outcome.failure.detail}`)
  }
  const connect = (): void => meet(dialling, accepting, way, opened(take?.dialled), opened(take?.accepted))
  let stopped = false
  return {
    async start(dialled, accepted) {
      take = { dialled, accepted }
      connect()
    },
    another(onDialled) {
      void make().then((other) => {
        others.push(other)
        meet(other, accepting, way, opened(onDialled), opened(take?.accepted))
      })
    },
    leave: () => accepting.stop(),
    async comeBack() {
      if (!stopped) connect()
    },
    hold: () => way.hold(),
    release: () => way.release(),
    async stopDialling() {
      stopped = true
      await dialling.stop()
    },
    stopAccepting: () => accepting.stop(),
    async end() {
      await Promise.all([dialling, accepting, ...others].map((transport) => transport.stop()))
      await way.end()
    },
  }
}
