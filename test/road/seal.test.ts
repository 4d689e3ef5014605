/** What a start of a replica asks of the disk for its root log, whatever happened to that before. */
import { describe, expect, test } from 'vitest'
import type { Refusal } from '../../packages/engine/src/bytes/refusal.ts'
import { encodeFrame, scan } from '../../packages/engine/src/log/frame.ts'
import { Disk } from '../../packages/engine/src/replica/brittle.ts'
import { Certificates } from '../../packages/engine/src/replica/certificates.ts'
import { RootLog } from '../../packages/engine/src/replica/rootlog.ts'
import { RootStore } from '../../packages/engine/src/replica/rootstore.ts'
import { Mint, runtime } from './mint.ts'

const name = 'root.log'
const seal = `${name}.seal`

interface Opened {
  readonly store: RootStore
  /** Ids of the entries and sessions of the certificates that were read. */
  read(): string[]
  readonly told: string[]
}

const openOn = async (disk: Disk, mint: Mint): Promise<Opened> => {
  const root = new RootLog(runtime)
  const certificates = new Certificates(runtime, root)
  const sessions: string[] = []
  const { keep } = certificates
  certificates.keep = (certificate) => {
    sessions.push(certificate.session)
    return keep.call(certificates, certificate)
  }
  const told: string[] = []
  const incident = ({ code }: Refusal): void => void told.push(code)
  const store = new RootStore(runtime, root, certificates, incident, () => undefined)
  await store.open(disk, name, async () => mint.genesis)
  store.seal()
  return { store, told, read: () => [...(root.network === undefined ? [] : [root.network]), ...sessions] }
}

const readOn = async (disk: Disk, mint: Mint): Promise<{ read: string[]; told: string[] }> => {
  const { store, read, told } = await openOn(disk, mint)
  await store.close()
  return { read: read(), told }
}

/** What changes the disk during a start, and behind it. */
const changesOf = async (disk: Disk, mint: Mint): Promise<string[]> => {
  const from = disk.log.length
  await readOn(disk, mint)
  return disk.log.slice(from).filter((call) => call !== 'open' && call !== 'read')
}

const copying = ['sync', 'remove', 'write', 'sync', 'rename', 'syncNames']
const sealing = ['syncNames', 'truncate', 'write']
/** Behind the opening. */
const settling = ['sync', 'syncNames']

const prepared = async (): Promise<{ disk: Disk; mint: Mint; held: string[] }> => {
  const mint = await Mint.open()
  const ada = await mint.person('Ada')
  const disk = new Disk()
  const { store } = await openOn(disk, mint)
  await store.keepCertificate(ada.certificate.bytes)
  await store.close()
  return { disk, mint, held: [mint.network, ada.certificate.session] }
}

/** The disk after a power cut. */
const cut = (disk: Disk): Disk => {
  const after = new Disk()
  for (const [file, { durable }] of disk.contents) after.put(file, durable)
  return after
}

describe('a root log', () => {
  test('is copied with the first start and sealed, and the next start waits for nothing that it changes on the disk', async () => {
    const { disk, mint, held } = await prepared()
    expect(await changesOf(disk, mint)).toEqual([...copying, ...sealing])
    expect(await changesOf(disk, mint)).toEqual(settling)
    expect(await readOn(disk, mint)).toEqual({ read: held, told: [] })
  })

  test('that grew is copied and sealed again', async () => {
    const { disk, mint, held } = await prepared()
    await readOn(disk, mint)
    const bob = await mint.person('Bob')
    const { store } = await openOn(disk, mint)
    await store.keepMet(bob.certificate.bytes)
    await store.close()
    expect(await changesOf(disk, mint)).toEqual([...copying, ...sealing])
    expect(await changesOf(disk, mint)).toEqual(settling)
    expect((await readOn(disk, mint)).read).toEqual([...held, bob.certificate.session])
  })

  test('with more than the seal is of, which a sync did not store and a killed process left, has all of it stored by the next start', async () => {
    const { disk, mint, held } = await prepared()
    await readOn(disk, mint)
    const bob = await mint.person('Bob')
    const { store } = await openOn(disk, mint)
    // The process is gone before it cuts what failed.
    disk.fault = () => (disk.log.at(-1) === 'sync' ? 'DiskError' : undefined)
    disk.onCall = () => {
      if (disk.log.at(-1) === 'sync') throw new Error('gone')
    }
    expect((await store.keepMet(bob.certificate.bytes))?.code).toBe('DiskError')
    disk.fault = () => undefined
    disk.onCall = () => undefined
    expect((await readOn(cut(disk), mint)).read).toEqual(held)
    const { read } = await readOn(disk, mint)
    expect(read).toEqual([...held, bob.certificate.session])
    expect((await readOn(cut(disk), mint)).read).toEqual(read)
  })

  test('without a header, as a damaged one that was copied is, gives what it has with a seal too', async () => {
    const { disk, mint, held } = await prepared()
    const bytes = disk.contents.get(name)?.durable ?? new Uint8Array(0)
    disk.put(name, bytes.subarray(scan(bytes).frames[0]?.end))
    for (const changes of [[...copying, ...sealing], settling]) expect(await changesOf(disk, mint)).toEqual(changes)
    expect(await readOn(disk, mint)).toEqual({ read: held, told: [] })
  })

  test('that there is no room to copy is not sealed', async () => {
    const { disk, mint, held } = await prepared()
    disk.fault = () => (disk.log.at(-1) === 'write' ? 'DiskFull' : undefined)
    expect(await readOn(disk, mint)).toEqual({ read: held, told: ['DiskFull'] })
    disk.fault = () => undefined
    expect(disk.contents.has(seal)).toBe(false)
    expect(await changesOf(disk, mint)).toEqual([...copying, ...sealing])
  })

  test('is read whole after a power cut at any call of a start, and of the start after that', async () => {
    const { disk, mint, held } = await prepared()
    const checks: (() => Promise<void>)[] = []
    disk.onCall = () => {
      for (const crash of [...disk.crashes()])
        checks.push(async () => {
          expect((await readOn(crash, mint)).read).toEqual(held)
          expect(await readOn(crash, mint)).toEqual({ read: held, told: [] })
        })
    }
    await readOn(disk, mint)
    await readOn(disk, mint)
    expect(checks.length).toBeGreaterThan(20)
    for (const check of checks) await check()
  })

  test('is opened as without one beside a seal of another log, or what is none', async () => {
    const { disk, mint, held } = await prepared()
    await readOn(disk, mint)
    const { seen } = disk.contents.get(seal) ?? { seen: new Uint8Array(0) }
    expect(seen.length).toBeGreaterThan(20)
    const flipped = Array.from({ length: seen.length * 8 }, (_, bit) =>
      seen.map((byte, at) => (at === bit >> 3 ? byte ^ (1 << (bit & 7)) : byte)),
    )
    const cuts = Array.from({ length: seen.length }, (_, length) => seen.subarray(0, length))
    const others = [
      new Uint8Array(100_000),
      encodeFrame(0, Uint8Array.of(0x80)),
      encodeFrame(0, Uint8Array.of(0x83, 1, 2)),
      encodeFrame(0, Uint8Array.of(0x83, 1, 2, 3)),
      encodeFrame(0, Uint8Array.of(0x83, 1, 0x20, 0x20)),
      encodeFrame(0, Uint8Array.of(0x83, 1, 0xfb, 0x7f, 0xf8, 0, 0, 0, 0, 0, 0, 0)),
      encodeFrame(0, Uint8Array.of(0x83, 1, 0xfb, 0x40, 0x59, 0x08, 0, 0, 0, 0, 0, 0)),
    ]
    for (const bytes of [...flipped, ...cuts, ...others]) {
      disk.put(seal, bytes)
      expect(await changesOf(disk, mint)).toEqual([...copying, ...sealing])
      expect(await readOn(disk, mint)).toEqual({ read: held, told: [] })
    }
  })

  test('that is damaged is never sealed: whoever starts is told each time', async () => {
    const { disk } = await prepared()
    const bytes = disk.contents.get(name)?.durable.slice() ?? new Uint8Array(0)
    // In the entry, with the certificate behind it.
    const middle = encodeFrame(0, new Uint8Array(0)).length + 60
    bytes.set([(bytes[middle] ?? 0) ^ 1], middle)
    disk.put(name, bytes)
    disk.contents.delete(seal)
    for (const _ of [1, 2]) {
      const root = new RootLog(runtime)
      const told: string[] = []
      const store = new RootStore(
        runtime,
        root,
        new Certificates(runtime, root),
        ({ code }) => told.push(code),
        () => undefined,
      )
      await store.open(disk, name, undefined)
      store.seal()
      await store.close()
      expect(told).toContain('LogCorrupt')
      expect(disk.contents.has(seal)).toBe(false)
    }
    expect(disk.contents.has(name)).toBe(true)
  })
})
