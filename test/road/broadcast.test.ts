/** Live pushes to many channels: one message for all of them, whoever wrote, came late, was away, or did not take what others did. */
import { anonymous, type Channel, type Repository, type Transport } from '@weft-db/engine'
import { expect, test } from 'vitest'
import { toHex } from '../../packages/engine/src/bytes/bytes.ts'
import { decode } from '../../packages/engine/src/bytes/cbor.ts'
import { isRefusal } from '../../packages/engine/src/bytes/refusal.ts'
import { fewestChannels } from '../../packages/engine/src/replica/broadcast.ts'
import type { MemoryPair } from '../sim/memory-transport.ts'
import { board, Card, diskFull, Lab, type Replica } from './lab.ts'

interface Member {
  readonly replica: Replica
  readonly repository: Repository
  readonly line: MemoryPair
  /** The packs that came, hex. */
  readonly packs: string[]
}

const packIn = (frame: Uint8Array): string | undefined => {
  const plain = decode(frame)
  if (isRefusal(plain) || !Array.isArray(plain) || plain[1] !== 7 || !Array.isArray(plain[3])) return undefined
  const [kind, , , , pack] = plain[3]
  return kind === 12 && pack instanceof Uint8Array ? toHex(pack) : undefined
}

/** Notes the packs that come by it. */
const listening = (transport: Transport, packs: string[]): Transport => ({
  start: (onChannel) =>
    transport.start((channel: Channel) =>
      onChannel({
        remote: channel.remote,
        initiator: channel.initiator,
        get buffered() {
          return channel.buffered
        },
        send: (message) => channel.send(message),
        close: (reason) => channel.close(reason),
        listen: (listener) =>
          channel.listen({
            message: (bytes) => {
              const pack = packIn(bytes)
              if (pack !== undefined) packs.push(pack)
              listener.message(bytes)
            },
            drain: () => listener.drain(),
            closed: (reason) => listener.closed(reason),
          }),
      }),
    ),
  stop: () => transport.stop(),
})

const join = async (lab: Lab, name: string): Promise<Member> => {
  const line = lab.line()
  const packs: string[] = []
  const replica = await lab.start(name, { transports: [listening(line.a, packs)], captureRate: 1_000 })
  line.connect()
  replica.database.login(anonymous(name)).catch(() => undefined)
  const repository = replica.database.repository(board)
  await lab.until(() => repository.synced)
  return { replica, repository, line, packs }
}

const gather = async (lab: Lab, count: number): Promise<Member[]> => {
  const members: Member[] = []
  for (let member = 0; member < count; member++) members.push(await join(lab, `member ${member}`))
  return members
}

const isEven = (members: readonly Member[]): boolean => {
  const sizes = new Set(members.map(({ repository }) => repository.pipeline.commits.size))
  return sizes.size === 1 && members.every(({ repository }) => repository.unacknowledged === 0)
}

const titlesAt = ({ repository }: Member): string[] =>
  (repository.query(Card).current ?? []).map(({ title }) => String(title)).sort()

test('[S8] what is written once is packed once for all who read, and never for whoever wrote it', async () => {
  const lab = new Lab('packed once')
  await lab.authority()
  const [writer, ...readers] = await gather(lab, fewestChannels + 1)
  for (let at = 0; at < 5; at++) {
    writer?.repository.create(Card, { title: `card ${at}` })
    await lab.until(() => isEven([writer, ...readers].filter((member) => member !== undefined)))
  }
  const [first, ...others] = readers
  expect(first?.packs.length).toBe(5)
  for (const { packs } of others) expect(packs).toEqual(first?.packs)
  expect(writer?.packs).toEqual([])
})

test('[S8] where few read each of them is sent it once as well, as soon as it is stored', async () => {
  const lab = new Lab('few')
  await lab.authority()
  const members = await gather(lab, 3)
  const [writer, ...readers] = members
  for (let at = 1; at <= 5; at++) {
    writer?.repository.create(Card, { title: `card ${at}` })
    await lab.until(() => isEven(members))
    for (const { packs } of readers) expect(packs.length).toBe(at)
  }
  expect(writer?.packs).toEqual([])
})

test('[S8] whoever came late, or was sent something else, shares again after a while', async () => {
  const lab = new Lab('shares again')
  await lab.authority()
  const members = await gather(lab, fewestChannels)
  const [writer] = members
  const write = async (title: string): Promise<void> => {
    writer?.repository.create(Card, { title })
    await lab.until(() => isEven(members))
  }
  for (let at = 0; at < 40; at++) await write(`early ${at}, and long enough that nobody is sent all of it again`)
  const late = await join(lab, 'late')
  members.push(late)
  // This one is not sent their own: their packs are others from here on.
  late.repository.create(Card, { title: 'of whoever came late' })
  await lab.until(() => isEven(members))
  await write('to whoever came late')
  expect(late.packs.at(-1)).not.toBe(members[1]?.packs.at(-1))
  for (let at = 0; at < 3 * fewestChannels; at++) await write(`late ${at}`)
  const last = members.slice(1).map(({ packs }) => packs.at(-1))
  expect(new Set(last).size).toBe(1)
})

test('[S8] what is not stored nobody is sent, and what is stored afterwards everybody', async () => {
  const lab = new Lab('not stored')
  const authority = await lab.authority()
  const members = await gather(lab, fewestChannels + 1)
  const [one, other] = members
  one?.repository.create(Card, { title: 'before' })
  await lab.until(() => isEven(members))
  const before = members.map(({ packs }) => packs.length)
  authority.faults.sync = diskFull
  one?.repository.create(Card, { title: 'not stored' })
  await lab.run(100)
  expect(members.map(({ packs }) => packs.length)).toEqual(before)
  one?.line.disconnect()
  authority.faults.sync = undefined
  other?.repository.create(Card, { title: 'after' })
  const [, ...there] = members
  await lab.until(() => isEven(there) && there.every((member) => titlesAt(member).includes('after')))
  for (const member of there) expect(titlesAt(member)).toEqual(['after', 'before'])
  one?.line.connect()
  await lab.until(() => isEven(members))
  for (const member of members) expect(titlesAt(member)).toEqual(['after', 'before', 'not stored'])
})

for (const seed of ['one', 'two', 'three'])
  test(`[S8] many who write, leave and come back end equal (seed ${seed})`, async () => {
    const lab = new Lab(`broadcast ${seed}`)
    await lab.authority()
    const members = await gather(lab, fewestChannels + 2)
    const random = lab.world.stream('what they do')
    const away = new Set<Member>()
    for (let turn = 0; turn < 300; turn++) {
      const member = members[random.int(members.length)]
      if (member === undefined) continue
      const what = random.int(10)
      if (what < 7) member.repository.create(Card, { title: `${turn}: ${'x'.repeat(random.int(300))}` })
      else if (what === 7 && away.size < 4) {
        member.line.disconnect()
        away.add(member)
      } else if (what === 8 && away.delete(member)) member.line.connect()
      else await lab.run(random.int(50))
    }
    for (const { line } of away) line.connect()
    await lab.until(() => isEven(members))
    const [first, ...others] = members
    for (const other of others) expect(titlesAt(other)).toEqual(first === undefined ? [] : titlesAt(first))
    const offences = members.flatMap(({ replica }) =>
      replica.incidents.filter(({ code }) => code === 'Malformed' || code === 'Gap'),
    )
    expect(offences).toEqual([])
  })
