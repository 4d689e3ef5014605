/** Row E3: the right to read ends while the repository is on its way over a channel of the mesh. */
import type { Channel, PeerTransport } from '@weft-db/engine'
import { limits } from '../../../packages/engine/src/bytes/limits.ts'
import { decodeFrame } from '../../../packages/engine/src/replica/wire.ts'
import { board, Card, Lab } from '../../road/lab.ts'
import { PeerExchange } from '../../sim/peer-transport.ts'
import { type Stream, stream } from '../../sim/random.ts'
import { rules } from '../company.ts'
import { mustHold, type Row } from '../row.ts'

/** What goes one way over the channels of the mesh: bytes of reconciliation, and what waits while the other end takes nothing. */
interface Way {
  bytes: number
  /** Batches of commits. */
  batches: number
  isHeld: boolean
  release: () => void
}

/** Plain and packed, as `sync/message.ts` numbers them. */
const pushes: ReadonlySet<number> = new Set([5, 12])

/** Channels like those of another transport, whose messages are counted and may be held. */
const watched = (transport: PeerTransport, way: Way): PeerTransport => ({
  stop: () => transport.stop(),
  attempt: (options, listener) =>
    transport.attempt(options, {
      signal: (signal) => listener.signal(signal),
      failed: (failure) => listener.failed(failure),
      opened: (channel, path) => listener.opened(counted(channel, way), path),
    }),
})

const counted = (channel: Channel, way: Way): Channel => {
  let [number, waiting] = [0, 0]
  const held: Uint8Array[] = []
  let drain = (): void => undefined
  way.release = () => {
    way.isHeld = false
    for (const bytes of held.splice(0)) channel.send(bytes)
    waiting = 0
    drain()
  }
  return {
    remote: channel.remote,
    initiator: channel.initiator,
    ...(channel.binding !== undefined && { binding: channel.binding }),
    get buffered() {
      return channel.buffered + waiting
    },
    send: (bytes) => {
      const frame = decodeFrame(bytes, number++)
      if ('kind' in frame && frame.kind === 'sync') {
        way.bytes += bytes.length
        if (Array.isArray(frame.message) && pushes.has(Number(frame.message[0]))) way.batches++
      }
      if (!way.isHeld) return channel.send(bytes)
      held.push(bytes.slice())
      waiting += bytes.length
    },
    close: (reason) => channel.close(reason),
    listen: (given) => {
      drain = () => given.drain()
      channel.listen(given)
    },
  }
}

/** One sync that is cut short: the bytes that went before the end of the right was known, and the batches after it. */
const withdraw = async (
  seed: string,
  random: Stream,
  isSlow: boolean,
): Promise<{ before: number; after: number; held: number }> => {
  const lab = new Lab(seed)
  const peers = new PeerExchange(lab.world)
  const sent: Way = { bytes: 0, batches: 0, isHeld: false, release: () => undefined }
  await lab.authority({ rules })
  const [adaPeers, bobPeers] = [watched(peers.transport('ada'), sent), peers.transport('bob')]
  const ada = await lab.join('ada', { rules, mesh: { transport: adaPeers, mode: 'direct' } })
  const hers = ada.database.repository(board)
  hers.create(Card, { title: 'first' })
  await lab.until(() => hers.role === 'owner')
  const bob = await lab.join('bob', { rules, mesh: { transport: bobPeers, mode: 'direct' } })
  const owner = bob.database.person?.owner ?? ''
  const come = hers.grant(owner, 'viewer')
  const his = bob.database.repository(board)
  await lab.until(() => his.synced && peers.joined.length === 1)
  await come
  await lab.run(1_000)
  // From here on it has the board from her alone, and takes nothing for a while.
  lab.disconnect('bob')
  sent.isHeld = isSlow
  const had = his.query(Card).current?.length ?? 0
  const write = (): void => {
    hers.create(Card, {
      title: 'on its way',
      about: Buffer.from(random.bytes(isSlow ? 45_000 : 1_000)).toString('base64'),
    })
  }
  const first = (isSlow ? 110 : 10) + random.int(30)
  for (let left = first; left > 0; left--) {
    write()
    await lab.run(40)
  }
  const out = hers.grant(owner, null)
  let isKnown = false
  out.then(
    () => {
      isKnown = true
    },
    () => undefined,
  )
  for (let steps = 0; !isKnown && steps < 1_000; steps++) {
    write()
    await lab.run(5)
    // Known is what is stored: the member's own list says so.
    isKnown ||= !hers.members.some((member) => member.owner === owner)
  }
  const [before, batches] = [sent.bytes, sent.batches]
  if (isSlow) sent.release()
  for (let left = 20; left > 0; left--) {
    write()
    await lab.run(20)
  }
  await lab.run(3_000)
  return { before, after: sent.batches - batches, held: (his.query(Card).current?.length ?? 0) - had }
}

/**
 * E3: `trials` repositories whose reader loses the right in the middle of a sync over a channel of the mesh, half of them readers that take
 * nothing in. A violation is more than one batch after the writer's replica knew.
 */
export const withdrawn: Row = async ({ trials, seed }) => {
  const random = stream(seed, 'E3')
  let [violations, mostAfter, before, held, stalled] = [0, 0, 0, 0, 0]
  for (let trial = 0; trial < trials; trial++) {
    const seen = await withdraw(`${seed} E3 ${trial}`, random.branch(String(trial)), trial % 2 === 0)
    before += seen.before
    if (seen.before >= limits.channelHighWater) stalled++
    held += seen.held
    mostAfter = Math.max(mostAfter, seen.after)
    if (seen.after > 1) violations++
  }
  mustHold(before > 0 && held > 0 && stalled > 0, 'nothing was on its way', violations)
  return { trials, violations, mostBatchesAfter: mostAfter, bytesBefore: before, cardsReceived: held }
}
