import { afterEach, expect, test, vi } from 'vitest'
import { opfsFiles, startWorker } from './opfs.ts'

afterEach(() => void vi.unstubAllGlobals())

/** A browser whose workers say nothing. Gives those that were started. */
const stub = (): { ended: boolean }[] => {
  const workers: { ended: boolean }[] = []
  class SilentWorker {
    ended = false
    constructor() {
      workers.push(this)
    }
    readonly postMessage = (): void => undefined
    terminate(): void {
      this.ended = true
    }
  }
  vi.stubGlobal('Worker', SilentWorker)
  vi.stubGlobal('navigator', { locks: {}, storage: { getDirectory: () => undefined } })
  return workers
}

test('a worker that was started early is the one that files are asked of, and goes on', async () => {
  const workers = stub()
  const endUnused = startWorker()
  const files = opfsFiles('a')
  const ready = files.ready()
  endUnused()
  expect(workers).toMatchObject([{ ended: false }])
  files.abandon()
  await expect(ready).rejects.toMatchObject({ code: 'DiskError' })
})

test('one that nobody asked for anything ends, and whoever needs files later starts another', async () => {
  const workers = stub()
  const files = opfsFiles('a')
  startWorker()()
  expect(workers).toMatchObject([{ ended: true }])
  const ready = files.ready()
  expect(workers).toMatchObject([{ ended: true }, { ended: false }])
  files.abandon()
  await expect(ready).rejects.toMatchObject({ code: 'DiskError' })
})

test('a browser without private files is left alone', () => {
  vi.stubGlobal('navigator', {})
  expect(startWorker()()).toBeUndefined()
})
