/** The mesh end to end under virtual time: replicas that meet by the server, and go on without it. */
import type { DatabaseOptions, PeerTransport } from '@weft-db/engine'
import { expect, test } from 'vitest'
import { PeerExchange } from '../sim/peer-transport.ts'
import { board, Card, Lab, type Replica } from './lab.ts'

const member = (peers: PeerExchange, name: string): Partial<DatabaseOptions> => ({
  mesh: { transport: peers.transport(name), mode: 'direct' },
})

/** Members with the board open, level with the server and joined in every pair. */
const meet = async (lab: Lab, peers: PeerExchange, names: readonly string[]): Promise<Replica[]> => {
  const replicas: Replica[] = []
  for (const name of names) {
    const replica = await lab.join(name, member(peers, name))
    replicas.push(replica)
    const repository = replica.database.repository(board)
    await lab.until(() => repository.synced)
    if (replicas.length === 1) {
      repository.create(Card, { title: 'first' }, { key: 'first' })
      await lab.run(500)
    }
  }
  return replicas
}

const pairs = (names: readonly string[]): string[] =>
  names.flatMap((one, index) => names.slice(index + 1).map((other) => [one, other].sort().join(' '))).sort()

const title = ({ database }: Replica, key: string): string | undefined =>
  database.repository(board).item(Card, key)?.title

test('[N1] [N2] members are introduced by the server, join in every pair while they are few, and go on when it dies', async () => {
  const lab = new Lab('mesh joins')
  const peers = new PeerExchange(lab.world)
  await lab.authority()
  const names = ['ada', 'bob', 'eve', 'joe']
  const replicas = await meet(lab, peers, names)
  await lab.until(() => peers.joined.length === 6)
  expect(peers.joined).toEqual(pairs(names))
  lab.kill('authority')
  await lab.run(100)
  const [ada] = replicas
  ada?.database.repository(board).create(Card, { title: 'without the server' }, { key: 'alone' })
  await lab.until(() => replicas.every((replica) => title(replica, 'alone') === 'without the server'), 2_000)
  expect(replicas.map(({ database }) => database.status.connection)).toEqual([
    'offline',
    'offline',
    'offline',
    'offline',
  ])
})

test('[N2] [N6] a channel that dies is replaced with the server away, by signals that a neighbour carries', async () => {
  const lab = new Lab('mesh heals')
  const peers = new PeerExchange(lab.world)
  await lab.authority()
  const names = ['ada', 'bob', 'eve']
  peers.block('ada', 'bob')
  const replicas = await meet(lab, peers, names)
  await lab.until(() => peers.joined.length === 2)
  lab.kill('authority')
  await lab.run(10_000)
  expect(peers.joined).toEqual(['ada eve', 'bob eve'])
  peers.unblock('ada', 'bob')
  await lab.until(() => peers.joined.length === 3, 120_000)
  peers.cut('ada')
  replicas[0]?.database.repository(board).create(Card, { title: 'while cut off' }, { key: 'cut' })
  await lab.run(1_000)
  expect(peers.joined).toEqual(['bob eve'])
})

test('[N6] a channel that is lost as it greets is closed like any other, and replaced', async () => {
  const lab = new Lab('mesh greets in vain')
  const peers = new PeerExchange(lab.world)
  await lab.authority()
  let lost = 0
  const losing = peers.transport('bob')
  const transport: PeerTransport = {
    stop: () => losing.stop(),
    attempt: (options, listener) =>
      losing.attempt(options, {
        ...listener,
        opened: (channel, path) => {
          // The first one shows that it is lost by what is sent.
          if (lost++ === 0) channel.send = () => peers.cut('bob')
          listener.opened(channel, path)
        },
      }),
  }
  const ada = await lab.join('ada', member(peers, 'ada'))
  const bob = await lab.join('bob', { mesh: { transport, mode: 'direct' } })
  for (const { database } of [ada, bob]) await lab.until(() => database.repository(board).synced)
  await lab.until(() => lost === 1)
  expect(peers.joined).toEqual([])
  // To the server.
  expect(bob.database.connections).toBe(1)
  expect(bob.database.mesh.paths).toMatchObject([{ failure: { kind: 'broke' } }])
  await lab.until(() => lost === 2, 120_000)
  await lab.run(1_000)
  expect(peers.joined).toEqual(['ada bob'])
  expect(bob.database.connections).toBe(2)
})

test('[N1] two that no packet gets through between go on through the server', async () => {
  const lab = new Lab('mesh blocked')
  const peers = new PeerExchange(lab.world)
  await lab.authority()
  peers.block('ada', 'bob')
  const replicas = await meet(lab, peers, ['ada', 'bob'])
  replicas[0]?.database.repository(board).create(Card, { title: 'by the server' }, { key: 'one' })
  await lab.until(() => replicas.every((replica) => title(replica, 'one') === 'by the server'), 2_000)
  await lab.until(() => replicas[0]?.database.mesh.paths[0]?.kind === 'none')
  expect(replicas[0]?.database.mesh.paths[0]?.failure).toEqual({ kind: 'blocked', detail: 'no packet came through' })
})

test('[N7] a channel that carries nothing and says nothing delays nobody: the server brings what it should have brought', async () => {
  const lab = new Lab('mesh silent')
  const peers = new PeerExchange(lab.world)
  await lab.authority()
  const names = ['ada', 'bob']
  const replicas = await meet(lab, peers, names)
  await lab.until(() => peers.joined.length === 1)
  await lab.run(5_000)
  peers.freeze('ada', 'bob')
  for (const key of ['one', 'two', 'three']) {
    replicas[0]?.database.repository(board).create(Card, { title: key }, { key })
    await lab.until(() => replicas.every((replica) => title(replica, key) === key), 2_000)
    await lab.run(3_000)
  }
})

test('[N7] whoever takes no part in the mesh is heard by its members as soon as by anybody', async () => {
  const lab = new Lab('mesh mixed')
  const peers = new PeerExchange(lab.world)
  await lab.authority()
  const members = await meet(lab, peers, ['ada', 'bob', 'eve'])
  await lab.until(() => peers.joined.length === 3)
  const joe = await lab.join('joe')
  const repository = joe.database.repository(board)
  await lab.until(() => repository.synced)
  await lab.run(5_000)
  for (const key of ['one', 'two', 'three']) {
    repository.create(Card, { title: key }, { key })
    await lab.until(() => members.every((replica) => title(replica, key) === key), 200)
    const [ada] = members
    ada?.database.repository(board).create(Card, { title: `re ${key}` }, { key: `re ${key}` })
    await lab.until(() => [joe, ...members].every((replica) => title(replica, `re ${key}`) !== undefined), 200)
    await lab.run(2_000)
  }
})

test('[N5] a channel that leads to somebody else is closed before anything of a repository is said', async () => {
  const lab = new Lab('mesh swapped')
  const peers = new PeerExchange(lab.world)
  await lab.authority()
  // Two attempts that a middleman joins crosswise: what the ends see of the connection is not the same.
  peers.binding = (token, name) => new TextEncoder().encode(`${token} ${name}`.padEnd(64, '.'))
  const replicas = await meet(lab, peers, ['ada', 'bob'])
  await lab.run(10_000)
  expect(replicas.map(({ database }) => database.mesh.paths.map(({ kind }) => kind))).toEqual([['none'], ['none']])
  expect(replicas.flatMap(({ incidents }) => incidents.map(({ code }) => code))).toContain('BadProof')
})
