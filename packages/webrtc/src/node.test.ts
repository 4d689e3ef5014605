import { expect, test } from 'vitest'
import { webrtcTransport } from './node.ts'

test('what is missing is named, with how to install it', async () => {
  const cause = new Error('Cannot find package')
  const told = await webrtcTransport({ load: () => Promise.reject(cause) }).catch((error: unknown) => error)
  expect(told).toMatchObject({ message: expect.stringContaining('npm install @roamhq/wrtc'), cause })
  for (const found of [undefined, null, {}, { default: { RTCPeerConnection: class {} } }])
    await expect(webrtcTransport({ load: async () => found })).rejects.toThrow('npm install')
})
