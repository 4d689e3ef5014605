/** The mesh in real browsers, each a process of its own: they meet by the server and go on without it. */
import { afterEach, beforeEach, test } from 'vitest'
import { Members, untilCards, untilMet, untilSaved, untilServerless, write } from './members.ts'

let members: Members
beforeEach(async () => {
  members = await Members.start()
})
afterEach(() => members.end())

/** What fewer do the most do as well; the soak plays them all. */
const crowds = process.env.WEFT_E2E_PATIENT === undefined ? [8] : [2, 4, 8]

test.each(crowds)(
  '%d browsers: what one writes reaches all with the server killed, and the server when it is back',
  async (count) => {
    const all = await members.gather(count)
    const [ada, ...others] = all
    const last = others.at(-1)
    if (ada === undefined || last === undefined) throw new Error('nobody came')
    await write(ada, 'By the server')
    await untilCards(all, 'By the server')
    await untilMet(all, count - 1)
    await members.server.end('SIGKILL')
    await write(ada, 'Without it')
    await write(last, 'From the other end')
    await untilCards(all, 'By the server', 'Without it', 'From the other end')
    await members.server.start()
    await untilSaved(all)
    await untilCards(all, 'By the server', 'Without it', 'From the other end')
  },
)

test('two that were never at the server together meet by a neighbour of both, and go on without it', async () => {
  const [ada, link] = await members.found('Ada')
  const bob = await members.follow(link, 'Bob')
  await untilMet([ada, bob], 1)
  await ada.getByTestId('mesh').click()
  await ada.getByTestId('server-switch').filter({ hasText: 'Leave the server' }).click()
  await ada.getByTestId('close-mesh').click()
  await untilServerless([ada])
  const eve = await members.follow(link, 'Eve')
  await eve.locator('[data-direct="1"], [data-direct="2"]').waitFor()
  await members.server.end('SIGKILL')
  await untilMet([ada, bob, eve], 2)
  await write(ada, 'To somebody new')
  await write(eve, 'From somebody new')
  await untilCards([ada, bob, eve], 'To somebody new', 'From somebody new')
})
