/** `weft backup` on ports: a store that grows while it is read, and disks that fail. */
import { backup } from '@weft-db/cli'
import { audit, type Files, logName, WeftError } from '@weft-db/engine'
import { nodeRuntime } from '@weft-db/runtime/node'
import { describe, expect, test } from 'vitest'
import { stripCommit } from '../../packages/engine/src/commit/strip.ts'
import { encodeFrame, frameKinds, scan } from '../../packages/engine/src/log/frame.ts'
import { rootPath } from '../../packages/engine/src/trust/entry.ts'
import { Disk } from '../sim/files.ts'
import { Stream } from '../sim/random.ts'
import { Mint } from './mint.ts'
import { boards, sourceOf } from './store.ts'

const [board] = boards
const runtime = nodeRuntime()
const rootName = logName(rootPath, runtime)

test('drops what an erasure took, with the next one', async () => {
  const mint = await Mint.open()
  const ada = await mint.person('Ada')
  const first = await mint.commit(ada, board)
  mint.store(board, ada, first)
  const covering = await mint.checkpoint(board, [first])
  mint.store(board, covering)
  const name = logName(board, runtime)
  const disk = new Disk(new Stream('erasure', 'disk'))
  const before = mint.files()
  await backup(inMemory(before), disk.files(), () => 1)
  // The log as an erasure writes it: shorter, with everything that it had but the content.
  const key = first.changes[0]?.key ?? ''
  const entry = await mint.entry(board, {
    kind: 'erasure',
    changes: [{ commit: first.id, key }],
    dead: [],
    by: 'mail:Ada',
    reason: '',
  })
  const stripped = stripCommit(first, () => true, runtime.hash)
  const [header] = scan(before.get(name) ?? new Uint8Array(0)).frames
  const parts = [
    [frameKinds.header, header?.payload],
    [frameKinds.certificate, ada.certificate.bytes],
    [frameKinds.commit, stripped.bytes],
    [frameKinds.entry, covering.bytes],
    [frameKinds.entry, entry.bytes],
  ] as const
  const rewritten = Buffer.concat(parts.map(([kind, payload]) => encodeFrame(kind, payload ?? new Uint8Array(0))))
  await backup(inMemory(new Map([...before, [name, rewritten]])), disk.files(), () => 2)
  const stored = disk.stored()
  expect([...stored.keys()].sort()).toEqual(['backup.json', `${name}.2`, rootName].sort())
  expect(Buffer.from(stored.get(`${name}.2`) ?? []).equals(rewritten)).toBe(true)
})

test('what a log cites of the root log is in the backup, however both grow meanwhile', async () => {
  const mint = await Mint.open()
  const ada = await mint.person('Ada')
  const states: ReadonlyMap<string, Uint8Array>[] = []
  const a0 = await mint.commit(ada, board)
  mint.store(board, ada, a0)
  mint.store(board, await mint.checkpoint(board, [a0]))
  states.push(new Map(mint.files()))
  // Whoever looks at one log, and then at the other, finds it to have grown.
  const bob = { session: (await mint.person('Bob')).certificate.session }
  mint.store(rootPath, await mint.entry(rootPath, { kind: 'revocation', subject: bob, reason: '' }))
  const a1 = await mint.commit(ada, board, { after: a0 })
  mint.store(board, a1)
  mint.store(board, await mint.checkpoint(board, [a1]))
  states.push(new Map(mint.files()))
  const disk = new Disk(new Stream('order', 'disk'))
  let opened = 0
  const asked: string[] = []
  const source = inMemory(states[0] ?? new Map())
  await backup(
    {
      ...source,
      open: async (name) => {
        const file = await inMemory(states[Math.min(opened++, 1)] ?? new Map()).open(name)
        return (
          file && {
            ...file,
            size: () => file.size().finally(() => asked.push('size')),
            settle: () => file.settle().finally(() => asked.push('settle')),
            read: (offset, length) => file.read(offset, length).finally(() => asked.push('read')),
          }
        )
      },
    },
    disk.files(),
    () => 1,
  )
  // What is read was stored for good.
  expect(asked.join(' ')).toMatch(/^(size settle (read )+){2}$|^size settle( read)+ size settle( read)+$/)
  const stored = new Map([...disk.stored()].filter(([name]) => name.endsWith('.log')))
  const report = await audit(sourceOf(stored), { runtime })
  expect([report.problems, report.repositories[0]?.waiting]).toEqual([[], []])
})

const inMemory = (files: ReadonlyMap<string, Uint8Array>) => ({
  list: async () => [...files.keys()],
  later: async () => undefined,
  open: async (name: string) => {
    const bytes = files.get(name)
    return (
      bytes && {
        size: async () => bytes.length,
        read: async (offset: number, length: number) => bytes.subarray(offset, offset + length),
        settle: async () => undefined,
        close: async () => undefined,
      }
    )
  },
})

describe('a power cut', () => {
  /** The port, of which every call from the `at`-th on fails. */
  const cutAt = (files: Files, at: number): { readonly files: Files; calls(): number } => {
    let calls = 0
    const guarded = <Value extends object>(value: Value): Value =>
      new Proxy(value, {
        get(target, name) {
          const found: unknown = Reflect.get(target, name)
          if (typeof found !== 'function') return found
          return async (...args: unknown[]): Promise<unknown> => {
            if (++calls > at) throw new WeftError('DiskError', `call ${at}`)
            const result: unknown = await Reflect.apply(found, target, args)
            return typeof result === 'object' && result !== null && 'size' in result ? guarded(result) : result
          }
        },
      })
    return { files: guarded(files), calls: () => calls }
  }

  test('at any call leaves the last backup or the new one, whole, and the next backup goes through', async () => {
    const seed = process.env.SEED ?? 'power'
    const mint = await Mint.open()
    const ada = await mint.person('Ada')
    const a0 = await mint.commit(ada, board)
    mint.store(board, ada, a0)
    mint.store(board, await mint.checkpoint(board, [a0]))
    const before = new Map(mint.files())
    const a1 = await mint.commit(ada, board, { after: a0 })
    mint.store(board, a1)
    mint.store(board, await mint.checkpoint(board, [a1]))
    const b0 = await mint.commit(ada, '/list/x')
    mint.store('/list/x', ada, b0)
    const grown = new Map(mint.files())
    const [start, end] = [1, 2]
    let cuts = 0
    for (let at = 0; ; at++) {
      const stream = new Stream(seed, `cut ${at}`)
      const disk = new Disk(stream)
      await backup(inMemory(before), disk.files(), () => start)
      disk.crash()
      const cut = cutAt(disk.files(), at)
      const done = await backup(inMemory(grown), cut.files, () => end).then(
        () => true,
        () => false,
      )
      disk.crash()
      const time = await whole(disk.stored(), { [start]: before, [end]: grown })
      expect([start, end], `SEED=${seed}, call ${at}`).toContain(time)
      if (done) expect(time).toBe(end)
      // Whatever it left behind is in nobody's way.
      await backup(inMemory(grown), disk.files(), () => end)
      disk.crash()
      expect(await whole(disk.stored(), { [end]: grown }), `SEED=${seed}, call ${at}`).toBe(end)
      if (done) break
      cuts++
    }
    expect(cuts).toBeGreaterThan(30)
  })
})

/** The time of the backup that these files are, when it holds just what was there then. */
const whole = async (
  stored: ReadonlyMap<string, Uint8Array>,
  states: Readonly<Record<number, ReadonlyMap<string, Uint8Array>>>,
): Promise<number | undefined> => {
  const [line = ''] = Buffer.from(stored.get('backup.json') ?? [])
    .toString()
    .split('\n')
  const { time, files } = JSON.parse(line) as {
    time: number
    files: readonly { name: string; stored: string; size: number }[]
  }
  const state = states[time]
  const isIt =
    state !== undefined &&
    files.length === state.size &&
    files.every(({ name, stored: at, size }) =>
      Buffer.from(stored.get(at)?.subarray(0, size) ?? []).equals(state.get(name) ?? Buffer.alloc(0)),
    )
  return isIt ? time : undefined
}
