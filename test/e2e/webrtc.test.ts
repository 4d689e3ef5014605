/**
 * WebRTC between pages as people have them, with addresses hidden behind mDNS names, and between a page and Node. Signals go through this
 * process; what a page does when it is left, frozen or killed is seen from the other end.
 */
import { webrtcTransport } from '@weft-db/webrtc/node'
import type { BrowserContext, Page } from 'playwright-core'
import { afterAll, afterEach, describe, expect, test } from 'vitest'
import { Host } from './host.ts'
import type {} from './page/contracts.ts'
import { type Opened, PeerEnd } from './page/peer.ts'
import { openBrowser } from './stage.ts'

const host = await Host.start()
const browser = await openBrowser()
afterAll(async () => {
  await browser.close()
  await host.end()
})
const ending: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const end of ending.splice(0)) await end()
})

/** One end, wherever it is. */
interface End {
  begin(initiator: boolean, tell: (signal: string) => void): Promise<void> | void
  take(signal: string): Promise<string | undefined> | string | undefined
  opened(): Promise<Opened>
  send(count: number): Promise<void>
  heard(count: number): Promise<number>
  close(reason: string): Promise<void>
  ended(): Promise<string>
}

const pageEnd = async (): Promise<End & { readonly page: Page; readonly context: BrowserContext }> => {
  const context = await browser.newContext()
  ending.push(() => context.close())
  const page = await context.newPage()
  await page.goto(host.url)
  await page.waitForFunction(() => globalThis.weft !== undefined)
  return {
    page,
    context,
    async begin(initiator, tell) {
      await page.exposeFunction('peerSignal', tell)
      await page.evaluate((first) => weft.peer.begin(first, (signal) => void peerSignal(signal)), initiator)
    },
    take: (signal) => page.evaluate((one) => weft.peer.take(one), signal),
    opened: () => page.evaluate(() => weft.peer.opened()),
    send: (count) => page.evaluate((many) => weft.peer.send(many), count),
    heard: (count) => page.evaluate((many) => weft.peer.heard(many), count),
    close: (reason) => page.evaluate((why) => weft.peer.close(why), reason),
    ended: () => page.evaluate(() => weft.peer.ended()),
  }
}
const nodeEnd = async (): Promise<End> => {
  const transport = await webrtcTransport({ load: () => import('@roamhq/wrtc') })
  ending.push(() => transport.stop())
  return new PeerEnd(transport)
}

const refused: string[] = []
/** Signals of one end for the other, in order. */
const carrier = (to: End): ((signal: string) => void) => {
  let last: Promise<unknown> = Promise.resolve()
  return (signal) => {
    last = last.then(async () => {
      // A page that is gone takes no more.
      const code = await Promise.resolve(to.take(signal)).catch(() => undefined)
      if (code !== undefined) refused.push(code)
    })
  }
}
const join = async (near: End, far: End): Promise<[Opened, Opened]> => {
  await far.begin(false, carrier(near))
  await near.begin(true, carrier(far))
  return Promise.all([near.opened(), far.opened()])
}

describe('webrtc', () => {
  test.each([
    ['a page and a page', pageEnd, pageEnd],
    ['a page and Node', pageEnd, nodeEnd],
    ['Node and a page', nodeEnd, pageEnd],
  ] as const)('%s connect, are bound to the same certificates, and hear each other', async (_, one, other) => {
    const [near, far] = [await one(), await other()]
    const [here, there] = await join(near, far)
    expect(here).toEqual({ binding: expect.stringMatching(/^[\da-f]{128}$/), path: 'direct' })
    expect(there).toEqual(here)
    await Promise.all([near.send(35), far.send(35)])
    expect(await Promise.all([near.heard(35), far.heard(35)])).toEqual([-1, -1])
    await near.send(35)
    await near.close('enough')
    expect(await far.ended()).toBe('the other end closed')
    expect(await near.ended()).toBe('enough')
    expect(refused).toEqual([])
  })

  test.each<[string, (page: Page) => Promise<unknown>]>([
    ['goes elsewhere', (page) => page.goto('about:blank')],
    ['is reloaded', (page) => page.reload()],
    ['is closed', (page) => page.close()],
    // A browser freezes pages when it wants to, not when it is asked; what the page is told is the same.
    ['is frozen', (page) => page.evaluate(() => void document.dispatchEvent(new Event('freeze')))],
  ])('a page that %s is missed within a second', async (_, leave) => {
    const [near, far] = [await pageEnd(), await pageEnd()]
    await join(near, far)
    const left = performance.now()
    const missed = far.ended().then(() => performance.now() - left)
    await leave(near.page)
    expect(await missed).toBeLessThan(1_000)
  })

  test('a page that crashes is missed', async () => {
    const [near, far] = [await pageEnd(), await pageEnd()]
    await join(near, far)
    const session = await near.context.newCDPSession(near.page)
    // It is never answered: who would answer is gone.
    session.send('Page.crash').catch(() => undefined)
    expect(await far.ended()).not.toBe('')
  })
})
