/** What firewalls do to the mesh: a router between the members drops UDP, for some and for a while. */
import type { Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { Members, untilCards, untilMet, untilSaved, untilServerless, write } from './members.ts'
import { Network, obstacle, serverAddress } from './network.ts'

if (obstacle !== undefined) console.warn(`the mesh behind firewalls is not tested: ${obstacle}`)

/** What waits for attempts to fail in their own time takes a minute: the soak does that. */
const patient = process.env.WEFT_E2E_PATIENT !== undefined

describe.runIf(obstacle === undefined)('three browsers, a router between them', () => {
  let network: Network
  let members: Members
  let pages: readonly [ada: Page, bob: Page, eve: Page]
  let addresses: readonly [ada: string, bob: string]
  const cards: string[] = []

  /** How long it takes until all show what one writes, ms. */
  const spread = async (page: Page, title: string): Promise<number> => {
    const began = performance.now()
    await write(page, title)
    cards.push(title)
    await untilCards(pages, ...cards)
    return performance.now() - began
  }

  const meet = async (): Promise<void> => {
    await network.unblock()
    await untilMet(pages, 2)
  }

  beforeAll(async () => {
    network = await Network.start()
    members = await Members.start({ environment: { HOST: serverAddress }, within: network.within })
    const { url } = members.server
    const [home, next, far] = [await network.place(url), await network.place(url), await network.place(url)]
    addresses = [home.address, next.address]
    await network.block(home.address)
    const [ada, link] = await members.found('Ada', home)
    pages = [ada, ...(await Promise.all([members.follow(link, 'Bob', next), members.follow(link, 'Eve', far)]))]
  })
  afterAll(async () => {
    await members.end()
    await network.end()
  })

  test('who cannot send UDP goes on through the server, and is connected straight when that is over', async () => {
    const [ada, bob, eve] = pages
    await untilMet([bob, eve], 1)
    await spread(ada, 'From behind the firewall')
    await spread(bob, 'To behind the firewall')
    await untilMet([ada], 0)
    if (patient) {
      for (const page of pages) await page.getByTestId('mesh').click()
      // Whoever gives up first knows why, and the other one that somebody gave up.
      await Promise.any(
        pages.map((page) => page.locator('[data-testid=diagnosis][data-kind="no TURN"]').first().waitFor()),
      )
      for (const page of pages) await page.getByTestId('close-mesh').click()
    }
    await meet()
  })

  test('a firewall that comes while they are connected delays nothing', async () => {
    const [ada] = pages
    await meet()
    const usual = await spread(ada, 'As usual')
    await network.block(addresses[0])
    expect(await spread(ada, 'With a firewall')).toBeLessThan(usual + 2_000)
    await untilMet([ada], 0)
    await spread(ada, 'Behind it')
    await untilSaved(pages)
    await meet()
  })

  test('two that lost their channel without the server get another by signals of a neighbour', async () => {
    const [ada, bob, eve] = pages
    await meet()
    await members.server.end('SIGKILL')
    await untilServerless(pages)
    await network.block(...addresses)
    await untilMet([ada, bob], 1)
    await untilMet([eve], 2)
    await spread(ada, 'By way of Eve')
    await meet()
    await spread(bob, 'Straight')
  })
})
