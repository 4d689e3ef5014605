/**
 * Every limit has a test that meets it. Those that no test beside their code meets are met here, on whole replicas or through the function
 * that refuses; the last test reads all tests and finds a limit, or a rate, that none of them names.
 */
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import {
  anonymous,
  type Channel,
  defaultRates,
  type Login,
  limits,
  type Repository,
  refusal,
  type Transport,
} from '@weft-db/engine'
import { expect, test } from 'vitest'
import { encodeUtf8, toHex } from '../../packages/engine/src/bytes/bytes.ts'
import { encode, type Plain } from '../../packages/engine/src/bytes/cbor.ts'
import { guard } from '../../packages/engine/src/bytes/guard.ts'
import { HeldCommits } from '../../packages/engine/src/replica/heldcommits.ts'
import { Reconciler } from '../../packages/engine/src/replica/reconciler.ts'
import { decodeFrame, encodeFrame, type Frame } from '../../packages/engine/src/replica/wire.ts'
import { exactFilter, refuseFilter, saltBytes } from '../../packages/engine/src/sync/filter.ts'
import { fingerprintBytes } from '../../packages/engine/src/sync/fingerprint.ts'
import { messageOf } from '../../packages/engine/src/trust/signed.ts'
import { hash, Target } from '../attacks/target.ts'
import { memoryPair } from '../sim/memory-transport.ts'
import { board, Card, gate, Lab } from './lab.ts'
import { subscribing } from './stranger.ts'

test('nodes: one CBOR item more than a message may have', () => {
  const items = (count: number): Uint8Array => encode(Array.from({ length: count - 1 }, () => 0))
  expect(guard(items(limits.nodes))).toBeUndefined()
  expect(guard(items(limits.nodes + 1))?.code).toBe('TooMany')
})

test('filterHashes: a filter that would cost more hashes a tip', () => {
  const filter = exactFilter(new Uint8Array(saltBytes))
  expect(refuseFilter({ ...filter, hashes: limits.filterHashes })?.about ?? '').not.toContain('positions')
  expect(refuseFilter({ ...filter, hashes: limits.filterHashes + 1 })?.about).toContain('positions')
})

test('pendingCommits and pendingBytes: what waits for parents gives way, the oldest first', async () => {
  const target = await Target.open('pending', { signatures: 'fast' })
  const eve = await target.person()
  await target.offer([], [eve.certificate])
  const orphan = (about: string) =>
    target.commit(eve, {
      draft: { parents: ['ab'.repeat(32)], operations: [{ kind: 'assign', field: 'about', value: about }] },
    })
  const { pipeline } = target.repository()
  for (let at = 0; at < limits.pendingCommits + 10; at += 10)
    await target.offer(await Promise.all(Array.from({ length: 10 }, () => orphan('x'))))
  expect(pipeline.pending.commits).toBe(limits.pendingCommits)
  const large = 'x'.repeat(200_000)
  for (let bytes = 0; bytes < limits.pendingBytes + 400_000; bytes += large.length)
    await target.offer([await orphan(large)])
  expect(pipeline.pending.bytes).toBeLessThanOrEqual(limits.pendingBytes)
  expect(pipeline.pending.bytes).toBeGreaterThan(limits.pendingBytes - 2 * large.length)
  await target.close()
})

/** A bare channel on which a key was proved, or not yet. */
const bare = async (lab: Lab, proves = true) => {
  const { channel, received, state } = lab.dial()
  await lab.run(0)
  let sent = 0
  const send = (frame: Frame): Uint8Array => {
    const bytes = encodeFrame(sent++, frame)
    channel.send(bytes)
    return bytes
  }
  const heard = (): Frame[] =>
    received.map((bytes, number) => decodeFrame(bytes, number)).filter((frame): frame is Frame => 'kind' in frame)
  const [greeting] = heard()
  if (greeting?.kind !== 'greet' || received[0] === undefined) throw new Error('not greeted')
  const greet: Frame = { ...greeting, nonce: new Uint8Array(32), root: 0 }
  if (proves) {
    const key = lab.key('eve')
    const greetings = [hash(send(greet)), hash(received[0])]
    const proof = encode([key.publicKey, ...greetings, true, new Uint8Array(0)])
    const signature = await key.sign(messageOf('proof', proof, hash))
    send({ kind: 'prove', publicKey: key.publicKey, certificate: null, signature, root: [] })
    send({ kind: 'login', method: 'anonymous', credentials: 'Eve' })
    await lab.until(() => heard().some(({ kind }) => kind === 'certified' || kind === 'refused'))
  }
  return {
    send,
    heard,
    state,
    greet,
    refused: () => heard().flatMap((one) => (one.kind === 'refused' ? [one.code] : [])),
  }
}

test('repositoriesPerChannel: one more than a channel may name', async () => {
  const lab = new Lab('repositories')
  await lab.authority()
  const eve = await bare(lab)
  for (let tag = 0; tag < limits.repositoriesPerChannel; tag++) eve.send(subscribing(tag, `/board/${tag}`))
  await lab.run(10)
  expect(eve.refused()).toEqual([])
  eve.send(subscribing(limits.repositoriesPerChannel, '/board/more'))
  await lab.run(10)
  expect(eve.refused()).toEqual(['TooMany'])
})

test('offencesPerUser: an account is kept out by every new channel, for longer each time', async () => {
  const lab = new Lab('offences')
  const accounts: Login = { method: 'anonymous', check: async () => ({ owner: 'user:eve', name: 'Eve' }) }
  await lab.authority({ logins: [accounts], rates: { offencesPerUser: { burst: 2, perSecond: 0.001 } } })
  const waits: number[] = []
  for (let time = 0; time < 5; time++) {
    let eve = await bare(lab)
    let waited = 0
    for (; eve.refused().includes('LoginRefused'); waited += 500) {
      await lab.run(500)
      eve = await bare(lab)
    }
    waits.push(waited)
    for (let offence = 0; offence < limits.offences; offence++) eve.send(eve.greet)
    await lab.run(10)
    expect(eve.state.closed).toBeDefined()
  }
  expect(waits.slice(0, 4)).toEqual([0, 0, 0, 1_000])
  expect(waits[4]).toBeGreaterThan(1_000)
})

test('strangerQueue: bytes that wait from somebody who has proved nothing close the channel', async () => {
  for (const size of [limits.strangerQueue / 4, limits.strangerQueue / 2]) {
    const lab = new Lab(`stranger ${size}`)
    const { faults } = await lab.authority()
    const signing = gate()
    faults.sign = () => signing.promise
    const eve = await bare(lab, false)
    eve.send(eve.greet)
    const bytes = new Uint8Array(size - 100)
    for (let at = 0; at < 3; at++) eve.send({ kind: 'login', method: 'anonymous', credentials: bytes })
    await lab.run(10)
    expect(eve.state.closed === undefined, `3 of ${size}`).toBe(3 * size < limits.strangerQueue)
    signing.open()
  }
})

const syncTo = (eve: Awaited<ReturnType<typeof bare>>, message: Plain): void =>
  void eve.send({ kind: 'sync', tag: 0, message })

/** A card of so many bytes, in a commit of its own. */
/** Text that deflates to no less than half. */
const large = (repository: Repository, bytes: number): void => {
  let notes = ''
  while (notes.length < bytes) notes += toHex(hash(encodeUtf8(`${repository.pipeline.commits.size} ${notes.length}`)))
  repository.create(Card, { notes: notes.slice(0, bytes) })
  repository.flush()
}

const unhurried = { burst: 1e9, perSecond: 1e9 }

test('channelQueue: commits that wait for the disk are refused beyond it, to be asked for again', async () => {
  const lab = new Lab('queue')
  const authority = await lab.authority({ rates: { bytesPerUser: unhurried, framesPerUser: unhurried } })
  const ada = await lab.join('ada', { captureRate: 1_000 })
  const own = ada.database.repository(board)
  await lab.until(() => own.pipeline.isOpen)
  large(own, 200_000)
  await lab.until(() => own.unacknowledged === 0)
  // The last of its run, which is signed.
  const ownSize = own.pipeline.commits.size
  const eve = await bare(lab)
  eve.send(subscribing(0, board))
  await lab.run(10)
  syncTo(eve, [0, new Uint8Array(fingerprintBytes), true, null])
  await lab.run(10)
  const told = (): number =>
    eve.heard().filter((frame) => {
      const message = frame.kind === 'sync' ? frame.message : undefined
      return Array.isArray(message) && message[0] === 7 && message[1] === 'TooMany'
    }).length
  const disk = gate()
  authority.faults.hold = disk.promise
  large(own, 100)
  await lab.run(100)
  // What the server holds already is good, and waits behind what is being stored like everything else.
  const held = authority.database.repository(board).pipeline.commits.at(-1 + ownSize)?.bytes ?? new Uint8Array(0)
  const fit = Math.floor(limits.channelQueue / (4 * held.length))
  for (let at = 0; at < fit; at++) syncTo(eve, [5, 0, false, [], [held, held, held, held], []])
  syncTo(eve, [5, 0, false, [], [held, held, held, held], []])
  await lab.run(10)
  disk.open()
  authority.faults.hold = undefined
  await lab.run(100)
  expect(told()).toBe(1)
  expect(eve.state.closed).toBeUndefined()
})

test('channelHighWater: a peer that does not read has so many bytes waiting, and gets the rest when it reads', async () => {
  const lab = new Lab('high water')
  let served: Channel | undefined
  const [line, other] = [memoryPair(), memoryPair()]
  const transport: Transport = {
    start: (onChannel) => {
      line.b.start((channel) => {
        served = channel
        onChannel(channel)
      })
      other.b.start(onChannel)
    },
    stop: async () => undefined,
  }
  await lab.authority({ transports: [transport], rates: { bytesPerUser: unhurried } })
  const boardOf = async (name: string, pair: typeof line): Promise<Repository> => {
    const { database } = await lab.start(name, { transports: [pair.a], captureRate: 1_000 })
    pair.connect()
    database.login(anonymous(name)).catch(() => undefined)
    const repository = database.repository(board)
    await lab.until(() => repository.synced)
    return repository
  }
  const [bob, ada] = [await boardOf('bob', line), await boardOf('ada', other)]
  line.hold()
  const count = 4 * Math.ceil(limits.channelHighWater / 200_000)
  for (let at = 0; at < count; at++) large(ada, 200_000)
  await lab.until(() => ada.unacknowledged === 0)
  expect(served?.buffered).toBeGreaterThanOrEqual(limits.channelHighWater)
  expect(served?.buffered).toBeLessThan(limits.channelHighWater + 2 * limits.frameBytes)
  line.release()
  await lab.until(() => bob.pipeline.commits.size === ada.pipeline.commits.size)
  expect(bob.pipeline.commits.size).toBeGreaterThanOrEqual(count)
})

test('unsentMessages: one more than may wait for a peer that does not read closes its channel', async () => {
  const target = await Target.open('unsent', { signatures: 'fast' })
  const repository = target.repository()
  const ends: string[] = []
  const reconciler = new Reconciler({
    repository,
    held: new HeldCommits(repository, target.runtime),
    runtime: target.runtime,
    certificates: target.database.certificates,
    leads: false,
    salt: new Uint8Array(16),
    base: false,
    credits: new Map(),
    packs: { network: '', mine: 0, theirs: 0 },
    link: {
      gate: undefined,
      send: () => undefined,
      sendEncoded: () => undefined,
      ready: () => false,
      offence: () => undefined,
      backlog: { queue: () => true, dequeue: () => undefined },
      tooFast: () => undefined,
      hangUp: ({ code }) => void ends.push(code),
      refused: () => undefined,
      level: () => undefined,
      known: () => undefined,
      gossips: { announced: () => undefined, received: () => undefined, heard: () => undefined, left: () => undefined },
      isAuthority: () => false,
    },
  })
  reconciler.open({ log: undefined, moved: 0, known: undefined, session: undefined })
  for (let message = 1; message < limits.unsentMessages; message++) reconciler.refused(refusal('BadHash'), [])
  expect(ends).toEqual([])
  reconciler.refused(refusal('BadHash'), [])
  expect(ends).toEqual(['TooMany'])
  await target.close()
})

/** These are of evidence, and met where it is tested. */
const elsewhere = new Set(['evidenceFiles', 'evidenceBytes'])
const root = fileURLToPath(new URL('../..', import.meta.url))

const testsIn = async (folder: string): Promise<string[]> => {
  const entries = await readdir(join(root, folder), { recursive: true, withFileTypes: true })
  return entries
    .filter((entry) => entry.isFile() && entry.name.endsWith('.test.ts') && !entry.parentPath.includes('node_modules'))
    .map((entry) => join(entry.parentPath, entry.name))
}

test('no limit and no rate is without a test', async () => {
  const files = [...(await testsIn('packages')), ...(await testsIn('test'))]
  const texts = await Promise.all(files.map((file) => readFile(file, 'utf8')))
  const isNamed = (pattern: RegExp): boolean => texts.some((text) => pattern.test(text))
  expect(
    Object.keys(limits).filter((name) => !elsewhere.has(name) && !isNamed(new RegExp(`\\blimits\\.${name}\\b`))),
  ).toEqual([])
  expect(Object.keys(defaultRates).filter((name) => !isNamed(new RegExp(`\\b${name}: \\{ burst`)))).toEqual([])
})
