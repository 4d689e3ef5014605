/** Opening a store of 100,000 items in a fresh process, appending to one, and what an item takes in memory and on disk. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { takeovers } from '../e2e/takeover.ts'
import type { Area } from './area.ts'
import { Child } from './child.ts'
import type { Figure, Role } from './figure.ts'
import { interleaved, median, quantile } from './measure.ts'
import { BrowserStores } from './storage-browser.ts'
import type { Opened } from './storage-engines.ts'
import type { BrowserStore } from './storage-page.ts'

const area = 'storage'
const engines: Readonly<Record<string, Role>> = { weft: 'weft', SQLite: 'peer', JSON: 'peer' }
const limits = { first: 30, all: 300, held: 450, disk: 135, takeover: 500 } as const
const browserLimits = { first: 60, all: 600 } as const
const browserStores: Readonly<Record<BrowserStore, string>> = { opfs: 'OPFS', indexeddb: 'IndexedDB' }

/** The same in a browser, as an app opens it. */
const inBrowser = async (items: number, rounds: number): Promise<Figure[]> => {
  const browser = await BrowserStores.start()
  if (browser === undefined) return []
  try {
    const stores: BrowserStore[] = ['opfs', 'indexeddb']
    for (const store of stores) await browser.fill(store, items)
    const turn = new Map(stores.map((store) => [browserStores[store], () => browser.open(store, items)]))
    return [...(await interleaved(rounds, turn))].flatMap(([store, opened]) => {
      const figure = (metric: string, value: number, limit: number): Figure => ({
        area,
        case: `${openingOf(items)}, Chromium, ${store}`,
        engine: 'weft',
        role: 'weft',
        metric,
        value,
        unit: 'ms',
        ...(store === browserStores.opfs && { limit }),
      })
      return [
        figure('first read', median(opened.map(({ first }) => first)), browserLimits.first),
        figure('all read, in order', median(opened.map(({ all }) => all)), browserLimits.all),
      ]
    })
  } finally {
    await browser.end()
  }
}

const openingOf = (items: number): string => `opening ${items.toLocaleString('en-US')} items`

export const storage: Area = async ({ quick }) => {
  const items = quick ? 20_000 : 100_000
  const rounds = quick ? 3 : 9
  const [appends, batch] = quick ? [100, 2_000] : [1_000, 10_000]
  const figures: Figure[] = []
  const of = (engine: string, name: string) => (metric: string, value: number, unit: string, limit?: number) =>
    figures.push({
      area,
      case: name,
      engine,
      role: engines[engine] ?? 'note',
      metric,
      value,
      unit,
      ...(limit !== undefined && engine === 'weft' && { limit }),
    })
  const folders = new Map<string, string>()
  const child = async <Answer>(engine: string, method: string, ...args: unknown[]): Promise<Answer> => {
    const one = Child.start(`storage/${engine}`)
    try {
      return await one.ask<Answer>(method, ...args)
    } finally {
      await one.end()
    }
  }
  try {
    const opening = openingOf(items)
    for (const engine of Object.keys(engines)) {
      if (!(await child<boolean>(engine, 'isReady'))) continue
      const folder = mkdtempSync(join(tmpdir(), 'weft-bench-'))
      folders.set(engine, folder)
      of(engine, opening)('on disk', await child<number>(engine, 'fill', folder, items), 'B/item', limits.disk)
    }
    const turn = new Map(
      [...folders].map(([engine, folder]) => [engine, () => child<Opened>(engine, 'open', folder, items)]),
    )
    for (const [engine, opened] of await interleaved(rounds, turn)) {
      const figure = of(engine, opening)
      figure('first read', median(opened.map(({ first }) => first)), 'ms', limits.first)
      figure('all read, in order', median(opened.map(({ all }) => all)), 'ms', limits.all)
      figure('memory', median(opened.map(({ held }) => held)), 'B/item', limits.held)
    }
    figures.push(...(await inBrowser(items, rounds)))
    const takenOver = await takeovers(items / 5, rounds)
    if (takenOver !== undefined) {
      const figure = of(
        'weft',
        `tabs of Chromium, ${(items / 5).toLocaleString('en-US')} items, from the kill of the leader`,
      )
      figure('saved on the device', median(takenOver.map(({ local }) => local)), 'ms', limits.takeover)
      figure('saved at the server', median(takenOver.map(({ authority }) => authority)), 'ms')
    }
    const writers = new Map(
      [...folders.keys()].map((engine) => [
        engine,
        async () => {
          const folder = mkdtempSync(join(tmpdir(), 'weft-bench-'))
          try {
            return await child<{ each: number[]; batch: number }>(engine, 'append', folder, appends, batch)
          } finally {
            rmSync(folder, { recursive: true, force: true })
          }
        },
      ]),
    )
    for (const [engine, runs] of await interleaved(3, writers)) {
      const figure = of(engine, 'appending')
      figure('one durable, p50', median(runs.map(({ each }) => quantile(each, 0.5))), 'ms')
      figure('one durable, p95', median(runs.map(({ each }) => quantile(each, 0.95))), 'ms')
      figure(`of ${batch.toLocaleString('en-US')} durable together`, median(runs.map((run) => run.batch)), 'µs')
    }
  } finally {
    for (const folder of folders.values()) rmSync(folder, { recursive: true, force: true })
  }
  return figures
}
