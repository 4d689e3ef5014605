/** The rungs of reconciliation between real replicas, over what they keep on disk. */
import { expect, test } from 'vitest'
import { decode, type Plain } from '../../packages/engine/src/bytes/cbor.ts'
import { changed } from './bare-channel.ts'
import { board, Card, Lab, outcomeOf, type Replica } from './lab.ts'

const kinds = { hello: 0, filter: 2, sums: 9, moved: 11, packed: 12 }

/** Notes the messages of reconciliation that a client sends. */
const listening = () => {
  const sent: (readonly Plain[])[] = []
  const send = (bytes: Uint8Array): Uint8Array => {
    const frame = decode(bytes)
    if (Array.isArray(frame) && frame[1] === 7 && Array.isArray(frame[3])) sent.push(frame[3])
    return bytes
  }
  return { sent, send, kinds: () => sent.map(([kind]) => Number(kind)) }
}

const titles = ({ database }: Replica): string[] =>
  (database.repository(board).query(Card).current ?? []).map(({ title }) => title).sort()

const write = ({ database }: Replica, title: string): void => {
  database.repository(board).create(Card, { title })
}

test('[S4] a replica that asks for filters alone ends like the others, without a sketch or a pack', async () => {
  const lab = new Lab('filters alone')
  const authority = await lab.authority()
  const bob = await lab.join('bob')
  write(bob, 'of bob')
  await lab.run(2_000)
  const pair = lab.line()
  const wire = listening()
  const ada = await lab.start('ada', { transports: [changed(pair.a, wire)], sync: 'bloom' })
  pair.connect()
  outcomeOf(ada.database.login({ method: 'anonymous', credentials: 'Ada' }))
  await lab.until(() => ada.database.status.connection === 'online')
  write(ada, 'of ada')
  await lab.run(2_000)
  pair.disconnect()
  write(ada, 'ada, alone')
  write(bob, 'bob, meanwhile')
  await lab.run(2_000)
  pair.connect()
  await lab.run(5_000)
  for (const one of [authority, bob, ada])
    expect(titles(one)).toEqual(['ada, alone', 'bob, meanwhile', 'of ada', 'of bob'])
  expect(wire.kinds()).toContain(kinds.filter)
  expect(Math.max(...wire.kinds())).toBeLessThan(kinds.sums)
})

test('[S12] a cursor survives restarts of both sides, and is all that is asked', async () => {
  const lab = new Lab('cursor')
  await lab.authority()
  const ada = await lab.join('ada')
  const bob = await lab.join('bob')
  for (let index = 0; index < 20; index++) write(index % 2 === 0 ? ada : bob, `${index}`)
  // Long enough to compare once more.
  await lab.run(60_000)
  const closing = ada.database.close()
  await lab.run(50)
  await closing
  write(bob, 'meanwhile')
  await lab.run(2_000)
  lab.kill('authority')
  await lab.run(100)
  const authority = await lab.authority()
  const pair = lab.line()
  const wire = listening()
  const again = await lab.start('ada', { transports: [changed(pair.a, wire)] })
  again.database.repository(board)
  await lab.run(500)
  write(again, 'before it was there')
  await lab.run(500)
  pair.connect()
  lab.connect('bob')
  await lab.run(5_000)
  expect(titles(again)).toEqual(titles(authority))
  expect(titles(again)).toHaveLength(22)
  const [hello] = wire.sent
  expect(hello?.[0]).toBe(kinds.hello)
  expect(Array.isArray(hello?.[3])).toBe(true)
  for (const kind of [kinds.filter, kinds.sums, kinds.moved]) expect(wire.kinds()).not.toContain(kind)
  expect(wire.kinds()).toContain(kinds.packed)
})

test('what is much travels deflated, and is the same', async () => {
  const lab = new Lab('deflated')
  const authority = await lab.authority()
  const pair = lab.line()
  const wire = listening()
  const ada = await lab.start('ada', { transports: [changed(pair.a, wire)], captureRate: 1_000 })
  pair.connect()
  outcomeOf(ada.database.login({ method: 'anonymous', credentials: 'Ada' }))
  const own = ada.database.repository(board)
  await lab.until(() => own.pipeline.isOpen && ada.database.status.connection === 'online')
  pair.disconnect()
  for (let index = 0; index < 1_200; index++)
    own.transact(() => void own.create(Card, { title: `The same words in every title, ${index}` }))
  await lab.run(2_000)
  pair.connect()
  await lab.until(() => own.unacknowledged === 0)
  const packs = wire.sent.flatMap(([kind, , , , pack]) =>
    kind === kinds.packed && pack instanceof Uint8Array && pack.length > 1_000 ? [pack] : [],
  )
  expect(packs.length).toBeGreaterThan(0)
  expect(packs.every(([first = 0]) => first >= 128)).toBe(true)
  expect(titles(authority)).toEqual(titles(ada))
  expect(titles(authority)).toHaveLength(1_200)
})
