/** Random sequences of opening, closing, freezing, waking, reloading and killing tabs of one profile. `WEFT_E2E_TABS`: how many. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { schema, text } from '@weft-db/engine'
import { serve } from '@weft-db/server'
import type { BrowserContext } from 'playwright-core'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { buildApp } from './app.ts'
import { openProfile } from './stage.ts'
import { Sequence } from './tab-sequence.ts'

const from = Number(process.env['WEFT_E2E_TABS_FROM'] ?? 1)
const count = Number(process.env['WEFT_E2E_TABS'] ?? 6)

const Card = schema('card', 1, { notes: text() })

let folder: string
let server: Awaited<ReturnType<typeof serve>>
let profile: BrowserContext
let url: string

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'weft-tabs-random-'))
  server = await serve({
    schemas: [Card],
    data: join(folder, 'data'),
    port: 0,
    static: await buildApp(folder, 'tabs.ts'),
  })
  url = server.url.replace('127.0.0.1', 'localhost')
  profile = await openProfile(join(folder, 'profile'))
  const page = await profile.newPage()
  await page.goto(url)
  await page.waitForFunction(() => globalThis.tabs !== undefined)
  await page.evaluate(async () => {
    await globalThis.tabs.start('/board/first')
    await globalThis.tabs.login('Ada')
  })
  await page.close()
})
afterAll(async () => {
  await profile.close()
  await server.close()
  await rm(folder, { recursive: true, force: true })
})

test.each(Array.from({ length: count }, (_, index) => from + index))(
  'sequence %i: nothing that was acknowledged is lost, and no log is damaged',
  async (seed) => {
    const { script, acknowledged, shown, incidents } = await new Sequence(profile, url, seed).run()
    const about = `seed ${seed}: ${script.join(', ')}`
    for (const texts of shown)
      expect(
        acknowledged.filter((text) => !texts.includes(text)),
        about,
      ).toEqual([])
    expect(
      incidents.filter((incident) => !/^(Superseded|Unreachable)/.test(incident)),
      about,
    ).toEqual([])
    const repository = server.database.repository(`/board/sequence-${seed}`)
    await repository.ready
    const atServer = new Set((repository.query(Card).current ?? []).map(({ notes }) => notes.toString()))
    expect(
      acknowledged.filter((text) => !atServer.has(text)),
      about,
    ).toEqual([])
    expect(acknowledged.length, about).toBeGreaterThan(0)
  },
)
