/** Row A5: signatures, keys and encodings that are not quite right, at every platform that verifies. */
import { nodeRuntime } from '@weft-db/runtime/node'
import { peculiar, webCryptoKeys } from '@weft-db/runtime/webcrypto'
import { build } from 'esbuild'
import { type Verifier, wycheproofDisagreements } from '../../contracts/signatures.ts'
import { openBrowser } from '../../e2e/stage.ts'
import type { Row } from '../row.ts'

/** The browser's own verifier, called in a page of Chromium. */
const inChromium = async (): Promise<{ readonly verifier: Verifier; close(): Promise<void> }> => {
  const { outputFiles } = await build({
    stdin: {
      contents: `import { browserRuntime } from '@weft-db/runtime/browser'; globalThis.verify = browserRuntime().verify`,
      resolveDir: import.meta.dirname,
    },
    bundle: true,
    write: false,
    format: 'iife',
    platform: 'browser',
    conditions: ['weft-source', 'module'],
    logLevel: 'warning',
  })
  const browser = await openBrowser()
  const page = await browser.newPage()
  // WebCrypto is there for pages of this machine.
  await page.route('http://localhost/', (route) => route.fulfill({ contentType: 'text/html', body: '<!doctype html>' }))
  await page.goto('http://localhost/')
  await page.addScriptTag({ content: outputFiles[0]?.text ?? '' })
  return {
    verifier: {
      verify: (...parts) =>
        page.evaluate(
          (arrays) => {
            const verify: unknown = Reflect.get(globalThis, 'verify')
            if (typeof verify !== 'function') throw new Error('the script did not run')
            return verify(...arrays.map((numbers) => Uint8Array.from(numbers)))
          },
          parts.map((part) => [...part]),
        ),
    },
    close: () => browser.close(),
  }
}

/** A5: every vector at the verifiers of `trials` platforms: Node's own, WebCrypto of Node, its replacement, and Chromium as the fourth. */
export const wycheproof: Row = async ({ trials: platforms }) => {
  const verifiers: Verifier[] = [
    nodeRuntime(),
    webCryptoKeys(globalThis.crypto.subtle),
    webCryptoKeys(await peculiar()),
  ].slice(0, platforms)
  const chromium = platforms > verifiers.length ? await inChromium() : undefined
  if (chromium !== undefined) verifiers.push(chromium.verifier)
  try {
    return { ...(await wycheproofDisagreements(verifiers)), platforms: verifiers.length }
  } finally {
    await chromium?.close()
  }
}
