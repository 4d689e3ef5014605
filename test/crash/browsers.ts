/** Clients in real browsers, each with a profile on the disk, so that what they store is stored as a person's is. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { buildApp } from '../e2e/app.ts'
import type {} from '../e2e/page/wiped.ts'
import { openProfile } from '../e2e/stage.ts'
import type { Join, Member } from './member.ts'
import { type Wiped, wipeServer } from './wiped.ts'

const odd = /^(LogForked|NumberTwice|EvidenceKept|Fault) /

/** The scene of `wipeServer` with Chromium in the place of clients in Node. */
export const wipeServerOfBrowsers = async (browsers: number, commits: number, seed: string): Promise<Wiped> => {
  const folder = await mkdtemp(join(tmpdir(), 'weft-browsers-'))
  const browse: Join = async (port, name, oddities): Promise<Member> => {
    const profile = await openProfile(join(folder, name))
    const page = await profile.newPage()
    page.setDefaultTimeout(0)
    page.on('pageerror', (error) => void oddities.push(`${name}: ${String(error)}`))
    await page.goto(`http://localhost:${port}`)
    await page.waitForFunction(() => globalThis.wiped !== undefined)
    const storage = await page.evaluate((who) => globalThis.wiped.start(who), name)
    if (storage !== 'opfs') oddities.push(`${name} stores in ${storage}`)
    return {
      write: (count) => page.evaluate((times) => globalThis.wiped.write(times), count),
      holds: (count) => page.evaluate((least) => globalThis.wiped.holds(least), count),
      isBack: () => page.evaluate(() => globalThis.wiped.isBack()),
      acknowledged: async () => new Set(await page.evaluate(() => globalThis.wiped.acknowledged())),
      close: async () => {
        const incidents = await page.evaluate(() => globalThis.wiped.incidents())
        oddities.push(...incidents.filter((one) => odd.test(one)).map((one) => `${name}: ${one}`))
        await profile.close()
      },
    }
  }
  try {
    return await wipeServer(browsers, commits, seed, browse, await buildApp(folder, 'wiped.ts'))
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}
