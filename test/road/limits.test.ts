/**
 * Every limit has a test that meets it. Those that no test beside their code meets are met here, on whole replicas or through the function
 * that refuses; the last test reads all tests and finds a limit, or a rate, that none of them names.
 */
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { defaultRates, limits } from '@weft-db/engine'
import { expect, test } from 'vitest'
import { encode, type Plain } from '../../packages/engine/src/bytes/cbor.ts'
import { guard } from '../../packages/engine/src/bytes/guard.ts'
import { decodeFrame, encodeFrame, type Frame } from '../../packages/engine/src/replica/wire.ts'
import { exactFilter, refuseFilter, saltBytes } from '../../packages/engine/src/sync/filter.ts'
import { fingerprintBytes } from '../../packages/engine/src/sync/fingerprint.ts'
import { messageOf } from '../../packages/engine/src/trust/signed.ts'
import { hash, Target } from '../attacks/target.ts'
import { board, gate, Lab } from './lab.ts'

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
    await lab.until(() => heard().some(({ kind }) => kind === 'certified'))
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
  for (let tag = 0; tag < limits.repositoriesPerChannel; tag++)
    eve.send({ kind: 'subscribe', tag, path: `/board/${tag}`, held: 0 })
  await lab.run(10)
  expect(eve.refused()).toEqual([])
  eve.send({ kind: 'subscribe', tag: limits.repositoriesPerChannel, path: '/board/more', held: 0 })
  await lab.run(10)
  expect(eve.refused()).toEqual(['TooMany'])
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

test('channelQueue: commits that wait for the disk are refused beyond it, and the channel stays open', async () => {
  const lab = new Lab('queue')
  const { faults } = await lab.authority({
    rates: { bytesPerUser: { burst: 1e9, perSecond: 1e9 }, framesPerUser: { burst: 1e9, perSecond: 1e9 } },
  })
  const eve = await bare(lab)
  eve.send({ kind: 'subscribe', tag: 0, path: board, held: 0 })
  await lab.run(10)
  const sync = (message: Plain): void => void eve.send({ kind: 'sync', tag: 0, message })
  sync([0, new Uint8Array(fingerprintBytes), 0, null, new Map()])
  await lab.run(10)
  const disk = gate()
  faults.hold = disk.promise
  const told = (): number =>
    eve.heard().filter(({ kind, ...frame }) => {
      const message = 'message' in frame ? frame.message : undefined
      return kind === 'sync' && Array.isArray(message) && message[0] === 7 && message[1] === 'TooMany'
    }).length
  const bytes = new Uint8Array(limits.commitBytes)
  // Unreadable as they are, they wait in their order behind what is being stored.
  const per = 3
  const messages = Math.floor(limits.channelQueue / (per * bytes.length))
  for (let at = 0; at < messages; at++) sync([5, 0, false, [], Array.from({ length: per }, () => bytes), []])
  expect(told()).toBe(0)
  disk.open()
  expect(eve.state.closed).toBeUndefined()
})

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
  expect(Object.keys(limits).filter((name) => !isNamed(new RegExp(`\\blimits\\.${name}\\b`)))).toEqual([])
  expect(Object.keys(defaultRates).filter((name) => !isNamed(new RegExp(`\\b${name}: \\{ burst`)))).toEqual([])
})
