/**
 * Eight replicas that all have channels to each other: most of them say to one of them that they have what they never send to it. What they
 * write reaches it by its one honest neighbour alone, with the server away, or by the server alone.
 */
import type { Channel, PeerTransport } from '@weft-db/engine'
import { toHex } from '../../packages/engine/src/bytes/bytes.ts'
import { encodeAnnouncement } from '../../packages/engine/src/mesh/announcement.ts'
import { shortOf } from '../../packages/engine/src/mesh/gossip.ts'
import { decodeFrame, encodeFrame } from '../../packages/engine/src/replica/wire.ts'
import { board, Card, Lab, type Replica } from '../road/lab.ts'
import { PeerExchange } from '../sim/peer-transport.ts'

/** Sends ids, also of nothing, instead of commits while `swallows` says so. */
const swallowing = (channel: Channel, swallows: () => boolean, ids: () => readonly string[]): Channel => {
  let number = 0
  return {
    remote: channel.remote,
    initiator: channel.initiator,
    ...(channel.binding !== undefined && { binding: channel.binding }),
    get buffered() {
      return channel.buffered
    },
    send: (bytes) => {
      const place = number++
      const frame = decodeFrame(bytes, place)
      const isPush =
        'kind' in frame && frame.kind === 'sync' && Array.isArray(frame.message) && pushes.has(Number(frame.message[0]))
      if (!isPush || !swallows()) return channel.send(bytes)
      const message = encodeAnnouncement({ kind: 'have', ids: ids().map(shortOf) })
      channel.send(encodeFrame(place, { kind: 'sync', tag: frame.tag, message }))
    },
    close: (reason) => channel.close(reason),
    listen: (listener) => channel.listen(listener),
  }
}

/** Plain and packed, as `sync/message.ts` numbers them. */
const pushes: ReadonlySet<number> = new Set([5, 12])
const neighbours = 7
const commits = 140

/** Commits that the victim lacks at the end, and how many neighbours it was told of as withholding. */
export const besiegedReplica = async (
  seed: string,
  honest: 'neighbour' | 'server',
): Promise<{ lacking: number; named: number }> => {
  const lab = new Lab(seed)
  const peers = new PeerExchange(lab.world)
  await lab.authority()
  let swallows = false
  const replicas = new Map<string, Replica>()
  const hostiles = honest === 'server' ? neighbours : neighbours - 1
  const hostile = Array.from({ length: hostiles }, (_, index) => `mallory${index}`)
  const names = ['bob', ...(honest === 'server' ? [] : ['ada']), ...hostile]
  const transportOf = (name: string): PeerTransport => {
    const plain = peers.transport(name)
    if (!name.startsWith('mallory')) return plain
    const invented = lab.world.stream(`invented by ${name}`)
    // What it holds, and one that nobody does.
    const ids = (): readonly string[] => {
      const held = replicas.get(name)?.database.repository(board).pipeline.commits
      const last = Array.from(
        { length: Math.min(16, held?.size ?? 0) },
        (_, index) => held?.at(held.size - 1 - index)?.id,
      )
      return [...last.filter((id) => id !== undefined), toHex(invented.bytes(32))]
    }
    return {
      stop: () => plain.stop(),
      attempt: (options, listener) => {
        const toBob = (): boolean => swallows && options.remote === replicas.get('bob')?.database.person?.session
        return plain.attempt(options, {
          signal: (signal) => listener.signal(signal),
          failed: (failure) => listener.failed(failure),
          opened: (channel, path) => listener.opened(swallowing(channel, toBob, ids), path),
        })
      },
    }
  }
  for (const name of names) {
    const replica = await lab.join(name, { mesh: { transport: transportOf(name), mode: 'direct' } })
    replicas.set(name, replica)
    const repository = replica.database.repository(board)
    await lab.until(() => repository.synced)
    if (replicas.size === 1) repository.create(Card, { title: 'first' })
    await lab.run(300)
  }
  await lab.until(() => peers.joined.length === (names.length * (names.length - 1)) / 2)
  await lab.run(3_000)
  if (honest === 'neighbour') lab.kill('authority')
  swallows = true
  const bob = replicas.get('bob')
  for (let number = 0; number < commits; number++) {
    const author = replicas.get(`mallory${number % hostiles}`)
    author?.database.repository(board).create(Card, { title: String(number) }, { key: `key${number}` })
    await lab.run(300)
  }
  const lacks = (): number => {
    const repository = bob?.database.repository(board)
    return Array.from({ length: commits }).filter((_, number) => repository?.item(Card, `key${number}`) === undefined)
      .length
  }
  for (let seconds = 0; seconds < 10 && lacks() > 0; seconds++) await lab.run(1_000)
  const named = bob?.incidents.filter(({ code }) => code === 'Withheld').length ?? 0
  return { lacking: lacks(), named }
}
