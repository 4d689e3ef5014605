/** Who is here, over the server and over the mesh. */
import { number, string, WeftError } from '@weft-db/engine'
import { expect, test } from 'vitest'
import { encode } from '../../packages/engine/src/bytes/cbor.ts'
import { limits } from '../../packages/engine/src/bytes/limits.ts'
import { decodePresence, encodePresence } from '../../packages/engine/src/mesh/presence.ts'
import { Presences } from '../../packages/engine/src/replica/presences.ts'
import type { Reconciler } from '../../packages/engine/src/replica/reconciler.ts'
import { PeerExchange } from '../sim/peer-transport.ts'
import { board, Card, Lab, type Replica } from './lab.ts'
import { Mint } from './mint.ts'

const fields = { caret: number({ integer: true, min: 0 }), card: string({ max: 100 }) }

const here = ({ database }: Replica) => database.repository(board).presence(fields)

const meet = async (lab: Lab, names: readonly string[], peers?: PeerExchange): Promise<Replica[]> => {
  const replicas: Replica[] = []
  for (const name of names) {
    const mesh = peers === undefined ? {} : { mesh: { transport: peers.transport(name), mode: 'direct' as const } }
    const replica = await lab.join(name, mesh)
    replicas.push(replica)
    const repository = replica.database.repository(board)
    await lab.until(() => repository.synced)
    if (replicas.length === 1) repository.create(Card, { title: 'first' }, { key: 'first' })
    await lab.run(500)
  }
  return replicas
}

const seen = (replica: Replica): unknown[] =>
  here(replica)
    .others.map(({ name, state }) => ({ name, ...state }))
    .sort((one, other) => (one.name < other.name ? -1 : 1))

test('[N8] what one says of itself the others see at once, typed, and whoever comes later too', async () => {
  const lab = new Lab('presence')
  await lab.authority()
  const [ada, bob] = await meet(lab, ['ada', 'bob'])
  if (ada === undefined || bob === undefined) throw new Error('two')
  const presence = here(ada)
  presence.set({ caret: 3, card: 'first' })
  await lab.run(100)
  expect(seen(bob)).toEqual([{ name: 'ada', caret: 3, card: 'first' }])
  const [eve] = await meet(lab, ['eve'])
  if (eve === undefined) throw new Error('three')
  expect(seen(eve)).toEqual([{ name: 'ada', caret: 3, card: 'first' }])
  presence.set(undefined)
  await lab.run(200)
  expect([seen(bob), seen(eve)]).toEqual([[], []])
})

test('twenty words a second at most, and the last one is always said', async () => {
  const lab = new Lab('presence pace')
  await lab.authority()
  const [ada, bob] = await meet(lab, ['ada', 'bob'])
  if (ada === undefined || bob === undefined) throw new Error('two')
  const told: unknown[] = []
  const other = here(bob)
  other.subscribe(() => told.push(other.others[0]?.state.caret))
  const presence = here(ada)
  for (let caret = 0; caret < 500; caret++) {
    presence.set({ caret })
    await lab.run(2)
  }
  await lab.run(200)
  expect(told.at(-1)).toBe(499)
  expect(told.length).toBeGreaterThan(15)
  expect(told.length).toBeLessThanOrEqual(22)
})

test.each([
  ['by the server', false],
  ['by the neighbours, without it', true],
])('[N8] whoever dies is gone within seconds, %s', async (_, isAlone) => {
  const lab = new Lab(`presence dies ${isAlone}`)
  const peers = new PeerExchange(lab.world)
  await lab.authority()
  const [ada, bob, eve] = await meet(lab, ['ada', 'bob', 'eve'], peers)
  if (ada === undefined || bob === undefined || eve === undefined) throw new Error('three')
  await lab.until(() => peers.joined.length === 3)
  here(ada).set({ caret: 1 })
  here(bob).set({ caret: 2 })
  await lab.run(300)
  if (isAlone) {
    lab.kill('authority')
    await lab.run(1_000)
  }
  expect(seen(eve)).toEqual([
    { name: 'ada', caret: 1 },
    { name: 'bob', caret: 2 },
  ])
  lab.kill('ada')
  peers.cut('ada')
  await lab.run(2_000)
  expect([seen(bob), seen(eve)]).toEqual([[], [{ name: 'bob', caret: 2 }]])
})

test('[N8] whoever dies is gone though the server says so long before the channel to them breaks', async () => {
  const lab = new Lab('presence dies twice')
  const peers = new PeerExchange(lab.world)
  await lab.authority()
  const [ada, bob] = await meet(lab, ['ada', 'bob'], peers)
  if (ada === undefined || bob === undefined) throw new Error('two')
  await lab.until(() => peers.joined.length === 1)
  here(ada).set({ caret: 1 })
  await lab.run(300)
  expect(seen(bob)).toEqual([{ name: 'ada', caret: 1 }])
  lab.kill('ada')
  await lab.run(3_000)
  expect(seen(bob)).toEqual([])
})

test('whoever only lost a channel stays', async () => {
  const lab = new Lab('presence stays')
  const peers = new PeerExchange(lab.world)
  await lab.authority()
  const [ada, bob, eve] = await meet(lab, ['ada', 'bob', 'eve'], peers)
  if (ada === undefined || bob === undefined || eve === undefined) throw new Error('three')
  await lab.until(() => peers.joined.length === 3)
  here(ada).set({ caret: 1 })
  await lab.run(300)
  lab.disconnect('ada')
  await lab.run(3_000)
  expect([seen(bob), seen(eve)]).toEqual([[{ name: 'ada', caret: 1 }], [{ name: 'ada', caret: 1 }]])
})

test('presenceBytes: as much as limits.presenceBytes goes to the others, and no byte more, whoever sends it', async () => {
  const lab = new Lab('presence bytes')
  await lab.authority()
  const [ada, bob] = await meet(lab, ['ada', 'bob'])
  if (ada === undefined || bob === undefined) throw new Error('two')
  const wide = (replica: Replica) => replica.database.repository(board).presence({ text: string() })
  const fits = limits.presenceBytes - encode(new Map([['text', 'x'.repeat(500)]])).length + 500
  wide(ada).set({ text: 'x'.repeat(fits) })
  await lab.run(200)
  expect(wide(bob).others[0]?.state.text).toHaveLength(fits)
  expect(() => wide(ada).set({ text: 'x'.repeat(fits + 1) })).toThrow(expect.objectContaining({ code: 'TooLarge' }))
  const word = { kind: 'present', session: 'ab'.repeat(32), number: 1, signature: new Uint8Array(64) } as const
  const sent = (length: number) =>
    decodePresence(encodePresence({ ...word, state: new Map([['text', 'x'.repeat(length)]]) }))
  expect([sent(fits), sent(fits + 1)]).toEqual([
    expect.objectContaining({ kind: 'present' }),
    expect.objectContaining({ code: 'TooLarge' }),
  ])
})

test('presences: limits.presences sessions are heard at once in a repository, and a million more take no room', async () => {
  const lab = new Lab('presence crowd')
  const { database } = await lab.authority()
  const { certificate } = await (await Mint.open()).person('ada')
  const runtime = Object.assign(lab.runtime('listener'), { verify: async () => true })
  const presences = new Presences({
    runtime,
    clock: database.clock,
    certificates: { get: (session) => ({ ...certificate, session, expires: Number.MAX_SAFE_INTEGER }) },
    connections: [],
    isAuthority: false,
    isOnline: () => true,
    self: () => undefined,
    mayRead: () => true,
    leads: () => false,
    incident: () => undefined,
  })
  const repository = database.repository(board)
  const place = presences.room(repository)
  const from = { repository } as Reconciler
  for (let number = 0; number < limits.presences + 500; number++) {
    const session = number.toString(16).padStart(64, '0')
    place.heard(from, { kind: 'present', session, number: 1, state: new Map(), signature: new Uint8Array(64) })
    if (number % 100 === 0) await lab.run(1)
  }
  await lab.run(100)
  expect(place.others).toHaveLength(limits.presences)
})

test('a value that does not fit, or too much, is refused by name', async () => {
  const lab = new Lab('presence values')
  await lab.authority()
  const [ada] = await meet(lab, ['ada'])
  if (ada === undefined) throw new Error('one')
  expect(() => here(ada).set({ caret: -1 })).toThrow(expect.objectContaining({ code: 'BadValue', about: 'caret' }))
  const wide = ada.database.repository(board).presence({ text: string() })
  expect(() => wide.set({ text: 'x'.repeat(2_000) })).toThrow(WeftError)
})
