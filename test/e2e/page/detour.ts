/** The way between the ends of WebRTC attempts of one page: it leads through the process that serves the page. */
import type { Way } from '../../contracts/peers.ts'

export const detour = async (): Promise<Way> => {
  const number = await (await fetch('/detour', { method: 'POST' })).text()
  /** It is done when this returns. */
  const order = (wish: string): void => {
    const asked = new XMLHttpRequest()
    asked.open('POST', `/detour/${number}/${wish}`, false)
    asked.send()
    if (asked.status !== 200) throw new Error(`${wish}: ${asked.status}`)
  }
  return {
    async carry(signal) {
      const body = Uint8Array.from(signal)
      const answer = await fetch(`/detour/${number}/carry`, { method: 'POST', body })
      if (!answer.ok) throw new Error(`carry: ${answer.status} ${await answer.text()}`)
      const carried = new Uint8Array(await answer.arrayBuffer())
      return carried.length > 0 ? carried : undefined
    },
    hold: () => order('hold'),
    release: () => order('release'),
    end: async () => order('end'),
  }
}
