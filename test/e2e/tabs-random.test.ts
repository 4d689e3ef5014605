/**
 * Random sequences of opening, closing, freezing, waking, reloading and killing tabs of one profile. `WEFT_E2E_TABS`: how many, from
 * `WEFT_E2E_TABS_FROM` on. Every third stores in IndexedDB.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { schema, text } from '@weft-db/engine'
import { serve } from '@weft-db/server'
import { afterAll, beforeAll, expect, onTestFailed, test } from 'vitest'
import { buildApp } from './app.ts'
import { PlainBrowser } from './devtools.ts'
import { Front } from './front.ts'
import type {} from './page/watched-tabs.ts'
import type {} from './page/watched-worker.ts'
import { Sequence, type Stage } from './tab-sequence.ts'
import { Witness } from './witness.ts'

const from = Number(process.env['WEFT_E2E_TABS_FROM'] ?? 1)
const count = Number(process.env['WEFT_E2E_TABS'] ?? 4)

const Card = schema('card', 1, { notes: text() })

let folder: string
let app: string
let server: Awaited<ReturnType<typeof serve>>
let profiles = 0
const stages = new Map<string, Promise<Stage>>()
const figures = { sequences: 0, acknowledged: 0, lost: 0, changes: 0, writers: 0, clashes: 0 }
const done: Record<string, number> = {}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'weft-tabs-random-'))
  app = await buildApp(folder, 'watched-tabs.ts', 'watched-worker.ts')
  server = await serve({ schemas: [Card], data: join(folder, 'data'), port: 0, static: app })
})
afterAll(async () => {
  console.log(`tabs: ${JSON.stringify({ ...figures, ...done })}`)
  for (const stage of stages.values()) {
    const { browser, front } = await stage
    await browser.close()
    await front.close()
  }
  await server.close()
  await rm(folder, { recursive: true, force: true })
})

/** A profile that stores there, in which somebody is logged in. */
const stageOf = async (storage: string): Promise<Stage> => {
  const profile = join(folder, `${storage}-${profiles++}`)
  const start = (): Promise<PlainBrowser> => PlainBrowser.start(profile)
  const front = await Front.before(server.url, { hasWorker: storage === 'opfs' })
  const browser = await start()
  const page = await browser.open()
  await page.goto(front.url)
  const found = await page.evaluate(async () => {
    await globalThis.tabs.start('/board/first')
    await globalThis.tabs.login('Ada')
    return globalThis.tabs.status().storage
  })
  expect(found).toBe(storage)
  await page.close()
  return { browser, front, start }
}

test.each(Array.from({ length: count }, (_, index) => from + index))(
  'sequence %i: nothing that was acknowledged is lost, nobody else writes, and no log is damaged',
  async (seed) => {
    const storage = seed % 3 === 0 ? 'indexeddb' : 'opfs'
    const preparing = stages.get(storage) ?? stageOf(storage)
    stages.set(storage, preparing)
    const stage = await preparing
    const witness = new Witness()
    stage.front.onReport = (report) => witness.hear(report)
    const path = `/board/sequence-${seed}`
    const sequence = new Sequence(stage, path, seed)
    const about = (): string => `seed ${seed}, ${storage}: ${sequence.script.join(', ')}`
    onTestFailed(async () => {
      console.log(about())
      // Its tabs would be in the way of the next one's.
      stages.delete(storage)
      await stage.browser.kill()
      await stage.front.close()
    })
    await sequence.run()

    const { script, acknowledged, shown, incidents } = sequence
    const repository = server.database.repository(path)
    await repository.ready
    const atServer = (repository.query(Card).current ?? []).map(({ notes }) => notes.toString())
    const lost = [...shown, atServer].map((texts) => acknowledged.filter((text) => !texts.includes(text)))
    figures.sequences++
    figures.acknowledged += acknowledged.length
    figures.lost += lost.flat().length
    figures.changes += witness.changes
    figures.writers += witness.writers
    figures.clashes += witness.clashes.length
    for (const step of script) {
      const what = step.replace(/ \d+$/, '')
      done[what] = (done[what] ?? 0) + 1
    }
    expect(lost.flat(), about()).toEqual([])
    expect(witness.clashes, about()).toEqual([])
    expect(witness.changes, about()).toBeGreaterThan(0)
    expect(
      incidents.filter((incident) => !/^(Superseded|Unreachable)/.test(incident)),
      about(),
    ).toEqual([])
    expect(acknowledged.length, about()).toBeGreaterThan(0)
  },
)
