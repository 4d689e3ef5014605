/** Channels for tests of the protocol: those of a transport with something changed, and bare ones to the authority, spoken by hand. */
import type { Channel, Transport } from '@weft-db/engine'
import { encode } from '../../packages/engine/src/bytes/cbor.ts'
import { decodeFrame, encodeFrame, type Frame } from '../../packages/engine/src/replica/wire.ts'
import { messageOf } from '../../packages/engine/src/trust/signed.ts'
import { hash } from '../attacks/target.ts'
import type { Lab } from './lab.ts'

/** Channels as another transport makes them, but for what is changed. A message that is changed to undefined is lost. */
export const changed = (
  transport: Transport,
  change: { readonly binding?: Uint8Array; send?(bytes: Uint8Array): Uint8Array | undefined },
): Transport => ({
  stop: () => transport.stop(),
  start: (onChannel) =>
    transport.start((channel) => {
      const { binding, send = (bytes: Uint8Array) => bytes } = change
      onChannel({
        remote: channel.remote,
        initiator: channel.initiator,
        ...(binding && { binding }),
        get buffered() {
          return channel.buffered
        },
        send: (bytes) => {
          const sent = send(bytes)
          if (sent !== undefined) channel.send(sent)
        },
        close: (reason) => channel.close(reason),
        listen: (listener) => channel.listen(listener),
      } satisfies Channel)
    }),
})

/** A bare channel to the authority, greeted and not proved. */
export const dialled = async (lab: Lab) => {
  const { channel, received, state } = lab.dial()
  await lab.run(0)
  const [greeting] = received
  const told = greeting === undefined ? undefined : decodeFrame(greeting, 0)
  if (greeting === undefined || told === undefined || !('kind' in told) || told.kind !== 'greet')
    throw new Error('the authority did not greet')
  let sent = 0
  const send = (frame: Frame): Uint8Array => {
    const bytes = encodeFrame(sent++, frame)
    channel.send(bytes)
    return bytes
  }
  const heard = (): Frame[] =>
    received.map((bytes, number) => decodeFrame(bytes, number)).filter((frame): frame is Frame => 'kind' in frame)
  const greet: Frame = { ...told, nonce: new Uint8Array(32), root: 0 }
  const key = lab.key('eve')
  /** What proves the key on this channel, after this greeting. */
  const proofOf = (mine: Uint8Array): Promise<Uint8Array> => {
    const body = encode([key.publicKey, hash(mine), hash(greeting), true, new Uint8Array(0)])
    return key.sign(messageOf('proof', body, hash))
  }
  const prove = async (signature: Uint8Array): Promise<void> => {
    send({ kind: 'prove', publicKey: key.publicKey, certificate: null, signature, root: [] })
    await lab.run(10)
  }
  const refused = (): string[] => heard().flatMap((frame) => (frame.kind === 'refused' ? [frame.code] : []))
  return { send, heard, refused, state, greet, key, proofOf, prove }
}

/** The same, proved. */
export const proved = async (lab: Lab) => {
  const eve = await dialled(lab)
  await eve.prove(await eve.proofOf(eve.send(eve.greet)))
  /** Beats, so that the authority hears of it all the while. */
  const stay = async (ms: number): Promise<void> => {
    for (let left = ms; left > 0; left -= 10_000) {
      eve.send({ kind: 'beat' })
      await lab.run(Math.min(left, 10_000))
    }
  }
  return { ...eve, stay }
}
