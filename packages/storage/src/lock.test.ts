import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, readdir, readFile, rm, stat, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { lockDirectory } from './lock.ts'

const hook = vi.hoisted((): { beforeLink: (() => Promise<void>) | undefined } => ({ beforeLink: undefined }))
vi.mock(import('node:fs/promises'), async (original) => {
  const real = await original()
  return {
    ...real,
    link: async (from, to) => {
      const run = hook.beforeLink
      hook.beforeLink = undefined
      await run?.()
      return real.link(from, to)
    },
  }
})

const folder = { path: '' }
beforeEach(async () => {
  folder.path = await mkdtemp(join(tmpdir(), 'weft-lock-'))
})
afterEach(() => rm(folder.path, { recursive: true }))

const holder = async (): Promise<{ pid: number; place: string; start: string }> => {
  const release = await lockDirectory(folder.path)
  const [name] = (await readdir(folder.path)).filter((entry) => entry.startsWith('=lock.')).sort()
  const read = JSON.parse(await readFile(join(folder.path, name ?? ''), 'utf8'))
  await release()
  await rm(join(folder.path, name ?? ''))
  return read
}

const put = async (number: number, content: unknown, secondsAgo = 0): Promise<void> => {
  const file = join(folder.path, `=lock.${number}`)
  await writeFile(file, typeof content === 'string' ? content : JSON.stringify(content))
  const time = new Date((await stat(file)).mtimeMs - secondsAgo * 1_000)
  await utimes(file, time, time)
}

const attempt = (): Promise<string> =>
  lockDirectory(folder.path).then(
    async (release) => {
      await release()
      return 'taken'
    },
    (error: unknown) => (error instanceof Error && 'code' in error ? String(error.code) : 'other'),
  )

describe('who is judged to hold it', () => {
  test('a holder in this boot and namespace: by process id and start time, however old the file', async () => {
    const self = await holder()
    expect(self.place).not.toBe('')
    await put(1, self, 1_000_000)
    expect(await attempt()).toBe('AlreadyOpen')
    await put(1, { ...self, start: `${Number(self.start) + 1}` })
    expect(await attempt(), 'another process has the id now').toBe('taken')
  })

  test('a process that is gone, though its file is fresh', async () => {
    const self = await holder()
    const child = spawn(process.execPath, ['-e', ''])
    const pid = child.pid ?? 0
    await once(child, 'exit')
    await put(1, { ...self, pid })
    expect(await attempt()).toBe('taken')
  })

  test('a holder in another boot, container or machine: by how long its file was not renewed', async () => {
    const self = await holder()
    for (const place of ['', 'another boot', `${self.place}1`]) {
      await put(1, { ...self, place }, 5)
      expect(await attempt(), place).toBe('AlreadyOpen')
      await put(1, { ...self, place }, 20)
      expect(await attempt(), place).toBe('taken')
      for (const name of await readdir(folder.path)) await rm(join(folder.path, name))
    }
  })

  test('what a power cut left of a lock holds nobody off', async () => {
    for (const content of ['', '\0\0\0\0', '{"pid":1', '[]', 'null', '{"pid":"1","place":"","start":""}']) {
      await put(1, content)
      expect(await attempt(), content).toBe('taken')
    }
  })

  test('the highest number counts, whatever lies below it', async () => {
    const self = await holder()
    await put(9, self)
    await put(10, '')
    expect(await attempt()).toBe('taken')
    await put(12, self)
    expect(await attempt()).toBe('AlreadyOpen')
  })
})

test('who comes so late that others took and cleaned up the number he makes, holds nothing', async () => {
  const self = await holder()
  await put(5, '')
  hook.beforeLink = () => put(7, self)
  expect(await attempt()).toBe('AlreadyOpen')
  expect((await readdir(folder.path)).sort()).toEqual(['=lock.5', '=lock.7'])
})

test('files do not pile up', async () => {
  for (let round = 0; round < 50; round++) expect(await attempt()).toBe('taken')
  const names = await readdir(folder.path)
  expect(names.length).toBeLessThan(12)
  expect(names.every((name) => name.startsWith('=lock.'))).toBe(true)
})

describe('between processes', () => {
  const program = `
    import { lockDirectory } from ${JSON.stringify(new URL('./lock.ts', import.meta.url).href)}
    let release
    process.on('message', async ([what, path]) => {
      if (what === 'release') {
        await release?.()
        release = undefined
        process.send('released')
        return
      }
      try {
        release = await lockDirectory(path)
        process.send('won')
      } catch (error) {
        process.send(error.code)
      }
    })
    process.send('ready')
  `
  const children: ChildProcess[] = []
  afterEach(async () => {
    for (const child of children.splice(0)) {
      if (child.exitCode !== null || child.signalCode !== null) continue
      child.kill('SIGKILL')
      await once(child, 'exit')
    }
  })

  const start = async (): Promise<ChildProcess> => {
    const flags = ['--import', import.meta.resolve('tsx'), '--conditions=weft-source', '--input-type=module', '-e']
    const child = spawn(process.execPath, [...flags, program], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
    children.push(child)
    expect(await answer(child)).toBe('ready')
    return child
  }
  const answer = async (child: ChildProcess): Promise<unknown> => (await once(child, 'message'))[0]
  const ask = (child: ChildProcess, ...message: string[]): Promise<unknown> => {
    const answered = answer(child)
    child.send(message)
    return answered
  }

  test('200 races of two: exactly one wins, be the lock free, released or left by a dead process', async () => {
    const self = await holder()
    const pair = await Promise.all([start(), start()])
    const wins = [0, 0]
    for (let round = 0; round < 200; round++) {
      const path = join(folder.path, `${Math.floor(round / 10)}`)
      if (round % 10 === 0) await mkdir(path)
      // A dead holder's file at the top, every other round.
      if (round % 2 === 1) {
        const [top] = (await readdir(path)).map((name) => Number(name.slice(6))).sort((a, b) => b - a)
        await writeFile(join(path, `=lock.${(top ?? 0) + 1}`), JSON.stringify({ ...self, start: '1' }))
      }
      const order = round % 4 < 2 ? pair : [...pair].reverse()
      const answers = await Promise.all(order.map((child) => ask(child, 'take', path)))
      expect([...answers].sort(), `round ${round}`).toEqual(['AlreadyOpen', 'won'])
      const winner = order[answers.indexOf('won')]
      if (winner === undefined) throw new Error('no winner')
      wins[pair.indexOf(winner)] = (wins[pair.indexOf(winner)] ?? 0) + 1
      expect(await ask(winner, 'release')).toBe('released')
    }
    expect(
      wins.every((count) => count > 0),
      `${wins}: no race where one always wins`,
    ).toBe(true)
  }, 20_000)

  test('a process that is killed leaves nothing that holds off the next', async () => {
    const child = await start()
    expect(await ask(child, 'take', folder.path)).toBe('won')
    expect(await attempt()).toBe('AlreadyOpen')
    child.kill('SIGKILL')
    await once(child, 'exit')
    expect(await attempt()).toBe('taken')
  })
})
