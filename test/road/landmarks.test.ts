import type { Files } from '@weft-db/engine'
import { nodeRuntime } from '@weft-db/runtime/node'
import { memoryFiles } from '@weft-db/storage/memory'
import { expect, test } from 'vitest'
import { isRefusal } from '../../packages/engine/src/bytes/refusal.ts'
import { Landmarks } from '../../packages/engine/src/replica/landmarks.ts'
import { type Entry, encodeEntry, readEntry } from '../../packages/engine/src/trust/entry.ts'
import { sealBody } from '../../packages/engine/src/trust/signed.ts'

const runtime = nodeRuntime()
const { hash } = runtime
const hex = (digit: string): string => digit.repeat(64)

const entryOf = (n: number, log = '/sys', reason = ''): Entry => {
  const body = encodeEntry({
    network: hex('1'),
    log,
    epoch: 0,
    n,
    prev: n === 0 ? null : hex('2'),
    root: log === '/sys' ? null : { epoch: 0, n: 0, hash: hex('3') },
    time: 5,
    signer: hex('4'),
    statement:
      log === '/sys'
        ? { kind: 'revocation', subject: { owner: 'eve' }, reason }
        : { kind: 'grant', owner: 'eve', role: null, by: null, fences: true, founding: false },
  })
  const entry = readEntry(sealBody(body, new Uint8Array(64), hash).bytes, hash)
  if (isRefusal(entry)) throw new Error(entry.code)
  return entry
}

const opened = (files = memoryFiles()): Promise<Landmarks> => Landmarks.open(files, runtime, () => undefined)

test('[R1] what is kept is there after the next start, and a landmark only goes on', async () => {
  const files = memoryFiles()
  const first = await opened(files)
  const founder = { owner: 'ada', role: 'owner' }
  const [end, kept] = [entryOf(3, '/board/a'), entryOf(4, '/board/a')]
  await first.keep('a.log', end, founder)
  first.reached('a.log', { epoch: 0, n: 2, hash: hex('5') })
  expect(first.of('a.log')).toEqual({
    epoch: 0,
    n: 3,
    hash: end.id,
    entry: end.bytes,
    missing: 'nothing',
    isAccepted: false,
    founder,
  })
  first.gave(7)
  await first.keep('a.log', kept, founder)
  first.settled('a.log', kept.id)
  expect(first.of('a.log')?.entry).toBe(null)
  await first.close()
  const second = await opened(files)
  // Of a log that is lost later it may be the one that nobody else has.
  const last = { epoch: 0, n: 4, hash: kept.id, entry: kept.bytes, isAccepted: false, founder }
  expect(second.of('a.log')).toEqual({ ...last, missing: 'nothing' })
  second.settled('a.log', kept.id)
  second.lose('a.log', { epoch: 0, n: 4, hash: kept.id }, 'known')
  await second.close()
  const third = await opened(files)
  expect(third.of('a.log')).toEqual({ ...last, missing: 'known' })
  // Somebody brought more than was known of.
  third.reached('a.log', { epoch: 0, n: 5, hash: hex('6') })
  await third.close()
  const fourth = await opened(files)
  expect(fourth.of('a.log')).toMatchObject({ n: 5, hash: hex('6'), entry: null, missing: 'open', founder })
  await fourth.close()
})

test('[R1] an entry of the root log that could not be stored afterwards gives way to the next', async () => {
  const files = memoryFiles()
  const first = await opened(files)
  const [one, failed, other] = [entryOf(0, '/board/a'), entryOf(1, '/sys', 'failed'), entryOf(1, '/sys', 'stored')]
  await first.keepRoot(one)
  await first.keepRoot(failed)
  await first.keepRoot(other)
  await first.keepRoot(other)
  await first.close()
  const second = await opened(files)
  expect(second.root.map(({ id }) => id)).toEqual([one.id, other.id])
  await second.close()
})

test('[R8] numbers go on above the highest that was given, where certificates are gone', async () => {
  const files = memoryFiles()
  const first = await opened(files)
  for (let number = 1; number <= 5; number++) first.gave(number)
  const holding = { entries: 0, epoch: 0, highest: 5, restored: undefined }
  await first.compare({ ...holding, certificates: 5 })
  expect(first.numbersFrom).toBe(0)
  await first.close()
  const second = await opened(files)
  await second.keep('a.log', entryOf(0, '/board/a'))
  await second.compare({ ...holding, certificates: 4 })
  expect([second.numbersFrom, second.of('a.log')?.missing]).toEqual([1_005, 'known'])
  await second.close()
  const third = await opened(files)
  expect([third.numbersFrom, third.of('a.log')?.missing]).toEqual([1_005, 'known'])
  await third.close()
})

test('[R9] landmarks that are damaged, know less than the folder or are not younger than its backup are none', async () => {
  const root = [entryOf(0, '/board/a'), entryOf(1)]
  const holding = { entries: 2, epoch: 0, certificates: 0, highest: 7, restored: undefined }
  const made = async (known = root) => {
    const files = memoryFiles()
    const first = await opened(files)
    for (const entry of known) await first.keepRoot(entry)
    await first.keep('a.log', entryOf(3, '/board/a'))
    await first.close()
    return files
  }
  const compared = async (files: Files, restored?: number) => {
    const landmarks = await opened(files)
    await landmarks.compare({ ...holding, restored })
    await landmarks.close()
    const again = await opened(files)
    await again.close()
    return [again.anew > 1_000_000, again.of('a.log')?.missing, again.numbersFrom]
  }
  const now = runtime.now()
  expect(await compared(await made())).toEqual([false, 'nothing', 0])
  expect(await compared(await made(), now - 1_000)).toEqual([false, 'nothing', 0])
  expect(await compared(await made(), now + 60_000)).toEqual([true, 'open', 1_007])
  expect(await compared(await made(root.slice(0, 1)))).toEqual([true, 'open', 1_007])
  expect(await compared(memoryFiles())).toEqual([true, undefined, 1_007])
  const damaged = await made()
  const file = await damaged.open('landmarks.log', false)
  await file?.write(90, new Uint8Array(20))
  await file?.close()
  expect((await compared(damaged))[0]).toBe(true)
  // What is restored is empty: the network is founded, or its root log is here.
  const fresh = await opened(memoryFiles())
  await fresh.compare({ ...holding, entries: 0, restored: undefined })
  expect(fresh.anew).toBe(0)
  await fresh.close()
})

test('what was said again later is dropped before the file grows without end, and nothing else is, whatever the crash', async () => {
  const files = memoryFiles()
  const names: string[] = []
  const first = await opened({
    ...files,
    rename: async (from, to) => {
      names.push(to)
      await files.rename(from, to)
    },
  })
  const [root, quiet] = [entryOf(0, '/board/a'), entryOf(7, '/board/quiet')]
  await first.keepRoot(root)
  await first.keep('quiet.log', quiet)
  first.settled('quiet.log', quiet.id)
  const size = async (): Promise<number> => (await (await files.open('landmarks.log', false))?.size()) ?? 0
  const one = await size()
  for (let n = 0; n < 9_000; n++) await first.keep('a.log', entryOf(n, '/board/a'))
  expect(names.length).toBeGreaterThan(1)
  await first.close()
  expect(await size()).toBeLessThan(5_000 * one)
  const second = await opened(files)
  expect([second.of('a.log')?.n, second.of('quiet.log')?.entry, second.root.length]).toEqual([8_999, quiet.bytes, 1])
  await second.close()
})
