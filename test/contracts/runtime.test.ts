import type { Runtime } from '@weft-db/engine'
import { browserRuntime } from '@weft-db/runtime/browser'
import { nodeRuntime } from '@weft-db/runtime/node'
import { peculiar, webCryptoKeys } from '@weft-db/runtime/webcrypto'
import { runtimeContract } from './runtime.ts'

const platform = (): Runtime => ({ ...nodeRuntime(), ...webCryptoKeys(globalThis.crypto.subtle) })
const polyfill = async (): Promise<Runtime> => ({ ...nodeRuntime(), ...webCryptoKeys(await peculiar()) })

runtimeContract('node', nodeRuntime, { webcrypto: platform, peculiar: polyfill, browser: browserRuntime })
runtimeContract('webcrypto', platform, { peculiar: polyfill })
runtimeContract('peculiar', polyfill, { browser: browserRuntime })
// Its code on Node's globals; the browser's own are for the same suite in Chromium.
runtimeContract('browser', browserRuntime)
