/** Builds the demo into `dist`, which the authority serves. Packages of the workspace are taken from their sources. */
import { svelte } from '@sveltejs/vite-plugin-svelte'
import { defaultClientConditions, defineConfig } from 'vite'
import { offline } from './offline.ts'

export default defineConfig({
  plugins: [svelte(), offline()],
  resolve: { conditions: ['weft-source', ...defaultClientConditions] },
  build: {
    target: 'es2022',
    // The colours use light-dark() and color-mix(), which browsers have had since these versions.
    cssTarget: ['chrome123', 'firefox121', 'safari17.5'],
    outDir: 'dist',
    // A data: URL would need a hole in the Content-Security-Policy.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    // The editor of notes changes when it is upgraded alone: it comes at the same time, as a file of its own.
    rolldownOptions: {
      output: { codeSplitting: { groups: [{ name: 'editor', test: /@codemirror|@lezer|style-mod/ }] } },
    },
    chunkSizeWarningLimit: 800,
  },
})
