import { mount } from 'svelte'
import App from './App.svelte'
import './theme.svelte.ts'
import './style.css'

const target = document.getElementById('app')
if (!target) throw new Error('the page has no #app')
mount(App, { target })

// In development the page comes from Vite, which must not be kept.
if (import.meta.env.PROD && 'serviceWorker' in navigator) {
  // Without it (a private window, an address without TLS) the page needs the server to open, nothing else.
  navigator.serviceWorker.register('/service-worker.js').catch(() => undefined)
}

// The app itself stays on the device: a reload works while the server is away. Where that is not to be had, it works online only.
if (import.meta.env.PROD && 'serviceWorker' in navigator)
  navigator.serviceWorker.register('/worker.js').catch(() => undefined)
