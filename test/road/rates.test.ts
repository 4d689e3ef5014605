/** What one user and one address may have of the authority, on whole replicas under virtual time. */
import {
  anonymous,
  type Channel,
  type Login,
  logName,
  type Repository,
  read,
  refusal,
  type Transport,
  write,
} from '@weft-db/engine'
import { memoryFiles } from '@weft-db/storage/memory'
import { expect, test } from 'vitest'
import { encode } from '../../packages/engine/src/bytes/cbor.ts'
import { mostIdle } from '../../packages/engine/src/replica/guests.ts'
import { memoryPair } from '../sim/memory-transport.ts'
import { board, Card, gate, Lab, type Replica } from './lab.ts'

/** Accounts by name: each name is one owner, with however many sessions. */
const named: Login = {
  method: 'anonymous',
  check: async (credentials) => ({ owner: `user:${String(credentials)}`, name: String(credentials) }),
}

const idsOf = ({ pipeline }: Repository): string[] => {
  const ids: string[] = []
  for (let index = 0; index < pipeline.commits.size; index++) ids.push(pipeline.commits.at(index)?.id ?? '')
  return ids
}

const codes = ({ incidents }: Replica): Set<string> => new Set(incidents.map(({ code }) => code))

/** The other side sees every channel as one from that address. */
const from = (address: string, transport: Transport): Transport => ({
  start: (onChannel) => transport.start((channel) => onChannel(addressed(address, channel))),
  stop: () => transport.stop(),
})

const addressed = (address: string, channel: Channel): Channel => ({
  address,
  remote: channel.remote,
  initiator: channel.initiator,
  get buffered() {
    return channel.buffered
  },
  listen: (listener) => channel.listen(listener),
  send: (message) => channel.send(message),
  close: (reason) => channel.close(reason),
})

/** An authority that takes channels from addresses, and a way to dial it bare. */
const gatehouse = async (lab: Lab, options: Parameters<Lab['authority']>[0] = {}) => {
  const lines = new Map<string, ReturnType<typeof memoryPair>>()
  let accept: ((channel: Channel) => void) | undefined
  const transport: Transport = {
    start: (onChannel) => {
      accept = onChannel
    },
    stop: async () => undefined,
  }
  const replica = await lab.authority({ transports: [transport], ...options })
  const line = (address: string): ReturnType<typeof memoryPair> => {
    const pair = memoryPair()
    lines.set(address, pair)
    from(address, pair.b).start((channel) => accept?.(channel))
    return pair
  }
  const dial = (address: string): { channel: Channel; heard: Uint8Array[]; state: { closed: string | undefined } } => {
    const pair = line(address)
    const heard: Uint8Array[] = []
    const state: { closed: string | undefined } = { closed: undefined }
    let made: Channel | undefined
    pair.a.start((channel) => {
      made = channel
      channel.listen({
        message: (bytes) => heard.push(bytes),
        drain: () => undefined,
        closed: (reason) => {
          state.closed = reason
        },
      })
    })
    pair.connect()
    if (made === undefined) throw new Error('no channel')
    return { channel: made, heard, state }
  }
  return { ...replica, line, dial }
}

test('[A4] an honest burst above the rate is told TooFast, loses nothing, and is delivered in time', async () => {
  const lab = new Lab('burst')
  const authority = await lab.authority({
    logins: [named],
    rates: { commitsPerUser: { burst: 20, perSecond: 4 } },
  })
  const ada = await lab.join('ada', { captureRate: 1_000 })
  const cards = ada.database.repository(board)
  await lab.until(() => cards.pipeline.isOpen)
  for (let at = 0; at < 100; at++) {
    cards.create(Card, { title: `card ${at}` }, { key: `card-${at}` })
    cards.flush()
  }
  await lab.until(() => ada.database.status.problem?.code === 'TooFast')
  const shown = authority.database.repository(board)
  expect(shown.pipeline.commits.size).toBeLessThan(100)
  const began = lab.world.now
  await lab.until(() => cards.unacknowledged === 0, 600_000)
  // No sooner than the rate allows, and not much later than the longest pause between two tries.
  const took = (lab.world.now - began) / 1_000
  expect(took).toBeGreaterThan(15)
  expect(took).toBeLessThan(120)
  expect(new Set(idsOf(shown))).toEqual(new Set(idsOf(cards)))
  expect(shown.query(Card).current?.length).toBe(100)
  await lab.until(() => ada.database.status.problem === undefined)
  expect(ada.database.status.connection).toBe('online')
})

test('twenty sessions of one user have the share of one, and another user has its own', async () => {
  const lab = new Lab('sybils')
  const rate = { burst: 10, perSecond: 2 }
  const authority = await lab.authority({ logins: [named], rates: { commitsPerUser: rate } })
  const sessions: Replica[] = []
  for (let at = 0; at < 20; at++) {
    const one = await lab.client(`eve ${at}`, { captureRate: 1_000 })
    one.database.login(anonymous('eve')).catch(() => undefined)
    sessions.push(one)
  }
  const ada = await lab.join('ada', { captureRate: 1_000 })
  const boards = [...sessions, ada].map(({ database }) => database.repository(board))
  await lab.until(() => boards.every(({ pipeline }) => pipeline.isOpen))
  await lab.run(2_000)
  const began = lab.world.now
  for (let at = 0; at < 10; at++)
    for (const one of boards.slice(0, -1)) {
      one.create(Card, { title: 'eve' })
      one.flush()
    }
  const own = boards.at(-1)
  if (own === undefined) throw new Error('ada has a board')
  for (let at = 0; at < 10; at++) {
    own.create(Card, { title: 'ada' })
    own.flush()
  }
  await lab.until(() => own.unacknowledged === 0, 5_000)
  await lab.run(30_000)
  const seconds = (lab.world.now - began) / 1_000
  const written = idsOf(authority.database.repository(board))
    .map((id) => authority.database.repository(board).pipeline.commits.get(id)?.session ?? '')
    .map((session) => authority.database.certificates.get(session)?.owner)
  const ofEve = written.filter((owner) => owner === 'user:eve').length
  const share = rate.burst + rate.perSecond * seconds
  expect(ofEve).toBeGreaterThan(rate.burst)
  expect(ofEve).toBeLessThanOrEqual(share * 1.1)
  expect(written.filter((owner) => owner === 'user:ada').length).toBe(10)
  expect(codes(authority)).toContain('TooFast')
})

test('an address whose channels offend is kept out by every new one, for longer each time; others come in', async () => {
  const lab = new Lab('kept out')
  const authority = await gatehouse(lab)
  const offend = async (): Promise<string | undefined> => {
    const { channel, state } = authority.dial('192.0.2.66')
    await lab.run(1)
    if (state.closed !== undefined) return 'kept out'
    for (let offence = 0; offence < 3; offence++) channel.send(encode([offence, 99]))
    await lab.run(1)
    return state.closed === undefined ? 'open' : 'closed'
  }
  const waits: number[] = []
  for (let time = 0; time < 8; time++) {
    let waited = 0
    while ((await offend()) === 'kept out') {
      await lab.run(500)
      waited += 500
    }
    waits.push(waited)
  }
  expect(waits.slice(0, 6)).toEqual([0, 0, 0, 0, 0, 0])
  expect(waits[6]).toBeGreaterThanOrEqual(1_000)
  expect(waits[7]).toBeGreaterThan(waits[6] ?? 0)
  const other = authority.dial('192.0.2.1')
  await lab.run(1)
  expect(other.state.closed).toBeUndefined()
  expect(other.heard.length).toBeGreaterThan(0)
  expect(codes(authority)).toContain('TooFast')
})

test('one address opens so many channels at once, and another is not hindered', async () => {
  const lab = new Lab('connections')
  const authority = await gatehouse(lab, { rates: { connectionsPerAddress: { burst: 5, perSecond: 1 } } })
  const dialled = Array.from({ length: 9 }, () => authority.dial('192.0.2.66'))
  const other = authority.dial('192.0.2.1')
  await lab.run(1)
  expect(dialled.filter(({ state }) => state.closed === undefined).length).toBe(5)
  expect(other.state.closed).toBeUndefined()
  await lab.run(1_000)
  const later = authority.dial('192.0.2.66')
  await lab.run(1)
  expect(later.state.closed).toBeUndefined()
})

test('bytes of strangers have a rate for their address', async () => {
  const lab = new Lab('stranger bytes')
  const authority = await gatehouse(lab, { rates: { strangerBytesPerAddress: { burst: 1_000, perSecond: 1 } } })
  const { channel, state } = authority.dial('192.0.2.66')
  for (let number = 0; number < 60 && state.closed === undefined; number++) {
    channel.send(encode([number, 4, 'TooFast', 'x'.repeat(60)]))
    await lab.run(1)
  }
  expect(state.closed).toBeDefined()
  expect(codes(authority)).toContain('TooFast')
})

test('frames above the rate wait, in their order, and too many of them close the channel', async () => {
  const lab = new Lab('frames')
  const authority = await gatehouse(lab, { rates: { framesPerUser: { burst: 10, perSecond: 100 } } })
  const { channel, state } = authority.dial('192.0.2.66')
  for (let number = 0; number < 500; number++) channel.send(encode([number, 5]))
  await lab.run(1_000)
  expect(state.closed).toBeUndefined()
  await lab.run(10_000)
  for (let number = 500; number < 2_500; number++) channel.send(encode([number, 5]))
  await lab.run(1_000)
  expect(state.closed).toBeDefined()
  expect(codes(authority)).toEqual(new Set(['TooMany']))
})

test('logins and new sessions have rates for their address, and who is refused is told when to try again', async () => {
  const lab = new Lab('logins')
  const authority = await gatehouse(lab, { rates: { sessionsPerAddress: { burst: 3, perSecond: 0.1 } } })
  const login = async (name: string, address: string): Promise<string> => {
    const pair = authority.line(address)
    const one = await lab.start(name, { transports: [pair.a] })
    pair.connect()
    let outcome = ''
    one.database.login(anonymous(name)).then(
      () => {
        outcome = 'certified'
      },
      (error: Error) => {
        outcome = error.message
      },
    )
    await lab.until(() => outcome !== '')
    return outcome
  }
  const outcomes: string[] = []
  for (let at = 0; at < 5; at++) outcomes.push(await login(`eve ${at}`, '192.0.2.66'))
  expect(outcomes.slice(0, 3)).toEqual(['certified', 'certified', 'certified'])
  for (const refused of outcomes.slice(3)) expect(refused).toMatch(/try again in \d+ s/)
  expect(await login('ada', '192.0.2.1')).toBe('certified')
  await lab.run(10_000)
  expect(await login('eve 9', '192.0.2.66')).toBe('certified')
})

test('so many logins are judged for one address', async () => {
  const lab = new Lab('judged')
  let judged = 0
  const guessed: Login = {
    method: 'anonymous',
    check: async () => {
      judged++
      return refusal('LoginRefused', 'wrong')
    },
  }
  const authority = await gatehouse(lab, {
    logins: [guessed],
    rates: { loginsPerAddress: { burst: 4, perSecond: 0.1 } },
  })
  const messages: string[] = []
  const pair = authority.line('192.0.2.66')
  const eve = await lab.start('eve', { transports: [pair.a] })
  pair.connect()
  for (let guess = 0; guess < 8; guess++) {
    eve.database.login(anonymous('eve')).catch((error: Error) => messages.push(error.message))
    await lab.until(() => messages.length > guess)
  }
  expect(judged).toBe(4)
  expect(messages.filter((message) => /try again in \d+ s/.test(message)).length).toBe(4)
})

test('one certificate after another has a rate for its owner', async () => {
  const lab = new Lab('certificates')
  await lab.authority({ logins: [named], rates: { certificatesPerUser: { burst: 2, perSecond: 0.1 } } })
  const outcomes: string[] = []
  for (let at = 0; at < 4; at++) {
    const one = await lab.client(`eve ${at}`)
    one.database.login(anonymous('eve')).then(
      () => outcomes.push('certified'),
      (error: Error) => outcomes.push(error.message.includes('try again') ? 'later' : error.message),
    )
    await lab.until(() => outcomes.length > at)
  }
  expect(outcomes).toEqual(['certified', 'certified', 'later', 'later'])
})

test('one user founds so many repositories, and what waits is founded when the rate allows', async () => {
  const lab = new Lab('repositories')
  const authority = await lab.authority({
    logins: [named],
    rates: { repositoriesPerUser: { burst: 3, perSecond: 0.05 } },
  })
  const eve = await lab.join('eve', { captureRate: 1_000 })
  const founded = () => [...authority.database.repositories].filter(({ pipeline }) => !pipeline.isBlank).length
  const boards = Array.from({ length: 5 }, (_, at) => eve.database.repository(`/board/${at}`))
  await lab.until(() => boards.every(({ pipeline }) => pipeline.isOpen))
  for (const one of boards) one.create(Card, { title: 'mine' })
  await lab.until(() => eve.database.status.problem?.code === 'TooManyRepositories')
  await lab.run(1_000)
  expect(founded()).toBe(3)
  await lab.until(() => boards.every((one) => one.unacknowledged === 0), 600_000)
  expect(founded()).toBe(5)
})

const isThere = async (lab: Lab, path: string): Promise<boolean> =>
  (await lab.device('authority').disk.files().list()).includes(logName(path, lab.runtime('reader')))

test('what the rules refuse founds nothing: no file, no repository; what they allow does', async () => {
  const lab = new Lab('founding')
  const here = [read('/board/:id', () => true), write('/board/:id', ({ owner }) => owner === 'user:ada')]
  const authority = await lab.authority({ logins: [named], rules: here })
  // Eve's replica has been told otherwise.
  const eve = await lab.join('eve', { rules: [read('/board/:id', () => true), write('/board/:id', () => true)] })
  const hers = eve.database.repository('/board/hers')
  await lab.until(() => hers.pipeline.isOpen)
  hers.create(Card, { title: 'mine' })
  await lab.until(() => codes(authority).has('NotAllowed'))
  await lab.run(5_000)
  expect(await isThere(lab, '/board/hers')).toBe(false)
  const ada = await lab.join('ada', { rules: here })
  const his = ada.database.repository('/board/his')
  await lab.until(() => his.pipeline.isOpen)
  his.create(Card, { title: 'mine' })
  await lab.until(() => his.unacknowledged === 0)
  expect(await isThere(lab, '/board/his')).toBe(true)
})

test('a repository that nobody asks for any more is let go, one that was never written to at once, and is there again', async () => {
  const lab = new Lab('guests')
  const authority = await lab.authority()
  const open = () => [...authority.database.repositories].map(({ path }) => path)
  const count = mostIdle + 20
  const ada = await lab.join('ada', { captureRate: 1_000 })
  const boards = Array.from({ length: count }, (_, at) => ada.database.repository(`/board/${at}`))
  const empty = Array.from({ length: 50 }, (_, at) => ada.database.repository(`/board/empty-${at}`))
  await lab.until(() => [...boards, ...empty].every(({ pipeline }) => pipeline.isOpen))
  for (const [at, one] of boards.entries()) one.create(Card, { title: `${at}` }, { key: 'card' })
  await lab.until(() => boards.every((one) => one.unacknowledged === 0))
  await lab.until(() => open().length === count + 50)
  // The app holds one of them.
  const held = authority.database.repository('/board/0')
  lab.disconnect('ada')
  await lab.run(1_000)
  expect(open().length).toBe(mostIdle + 1)
  expect(open().some((path) => path.includes('empty'))).toBe(false)
  expect(authority.database.repository('/board/0')).toBe(held)
  expect(held.pipeline.isOpen).toBe(true)
  for (const [at, one] of boards.entries()) one.create(Card, { title: `more ${at}` }, { key: 'card' })
  lab.connect('ada')
  await lab.until(() => boards.every((one) => one.unacknowledged === 0))
  const bob = await lab.join('bob')
  for (const at of [0, 1, 5, count - 1]) {
    const board = bob.database.repository(`/board/${at}`)
    await lab.until(() => board.item(Card, 'card')?.title === `more ${at}`)
  }
  expect([...codes(authority)]).toEqual([])
})

test('a repository asked for and given up again and again, while it is being closed, keeps what is written to it', async () => {
  const lab = new Lab('to and fro')
  const authority = await lab.authority()
  const names = Array.from({ length: mostIdle + 8 }, (_, at) => `/board/${at}`)
  const ada = await lab.join('ada', { captureRate: 1_000 })
  const boards = names.map((path) => ada.database.repository(path))
  await lab.until(() => boards.every(({ pipeline }) => pipeline.isOpen))
  for (let round = 0; round < 30; round++) {
    for (const one of boards.slice(0, 8)) one.create(Card, { title: `${round}` }, { key: 'card' })
    lab.disconnect('ada')
    if (round % 3 > 0) await lab.run(round % 5)
    lab.connect('ada')
    if (round % 4 > 0) await lab.run(round % 7)
  }
  await lab.until(() => boards.every((one) => one.unacknowledged === 0))
  for (const one of boards.slice(0, 8)) {
    const kept = authority.database.repository(one.path)
    await kept.ready
    expect(new Set(idsOf(kept))).toEqual(new Set(idsOf(one)))
  }
  expect([...codes(authority)]).toEqual([])
})

test('a repository that is let go while it stores is opened again only when that is done', async () => {
  const lab = new Lab('storing')
  const authority = await lab.authority()
  const ada = await lab.join('ada', { captureRate: 1_000 })
  const boards = Array.from({ length: mostIdle + 4 }, (_, at) => ada.database.repository(`/board/${at}`))
  await lab.until(() => boards.every(({ pipeline }) => pipeline.isOpen))
  for (const one of boards) one.create(Card, { title: 'first' }, { key: 'card' })
  await lab.until(() => boards.every((one) => one.unacknowledged === 0))
  const [first] = boards
  if (first === undefined) throw new Error('there are boards')
  const disk = gate()
  authority.faults.hold = disk.promise
  first.create(Card, { title: 'while it stores' }, { key: 'card' })
  await lab.run(500)
  const isOpen = (): boolean =>
    [...authority.database.repositories].some(({ path, pipeline }) => path === first.path && pipeline.isOpen)
  expect(isOpen()).toBe(true)
  lab.disconnect('ada')
  await lab.run(10)
  expect([...authority.database.repositories].length).toBe(mostIdle)
  // Only what is under way goes on waiting.
  authority.faults.hold = undefined
  lab.connect('ada')
  await lab.run(1_000)
  expect(isOpen()).toBe(false)
  disk.open()
  await lab.until(() => first.unacknowledged === 0 && first.synced)
  expect(new Set(idsOf(authority.database.repository(first.path)))).toEqual(new Set(idsOf(first)))
  expect([...codes(authority)]).toEqual([])
})

test('[R1] a repository that is let go before its first commit is stored is whole when it is opened again', async () => {
  const lab = new Lab('given up while blank')
  const authority = await lab.authority({ landmarks: memoryFiles() })
  const ada = await lab.join('ada', { captureRate: 1_000 })
  const board = ada.database.repository('/board/hasty')
  await lab.until(() => board.pipeline.isOpen)
  await lab.run(100)
  const disk = gate()
  authority.faults.hold = disk.promise
  board.create(Card, { title: 'hasty' })
  await lab.run(50)
  lab.disconnect('ada')
  await lab.run(50)
  expect([...authority.database.repositories].length).toBe(0)
  authority.faults.hold = undefined
  disk.open()
  await lab.run(50)
  lab.connect('ada')
  await lab.until(() => board.unacknowledged === 0, 2_000)
  expect([...codes(authority)]).toEqual([])
})

test('[R1] so is one that is let go between an entry and its landmark', async () => {
  const lab = new Lab('given up while signing')
  const authority = await lab.authority({ landmarks: memoryFiles() })
  const ada = await lab.join('ada', { captureRate: 1_000 })
  const boards = Array.from({ length: mostIdle + 1 }, (_, at) => ada.database.repository(`/board/${at}`))
  await lab.until(() => boards.every(({ pipeline }) => pipeline.isOpen))
  for (const one of boards) one.create(Card, { title: 'first' }, { key: 'card' })
  await lab.until(() => boards.every((one) => one.unacknowledged === 0))
  const [first] = boards
  if (first === undefined) throw new Error('there are boards')
  // So long that the next entry has a landmark of its own.
  await lab.run(20_000)
  const pen = gate()
  authority.faults.sign = () => pen.promise
  first.create(Card, { title: 'while it is signed' })
  await lab.run(500)
  lab.disconnect('ada')
  await lab.run(10)
  expect([...authority.database.repositories].length).toBe(mostIdle)
  pen.open()
  await lab.run(10)
  lab.connect('ada')
  await lab.until(() => boards.every((one) => one.unacknowledged === 0), 5_000)
  expect([...codes(authority)]).toEqual([])
})
