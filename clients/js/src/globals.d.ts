/** Names of the page that TypeScript's own types lack. */

interface Catchment {
  (...args: any[]): void;
  /** Calls made before the script had loaded; then an object that runs calls at once. */
  q?: any;
}

interface Window {
  catchment?: Catchment;
  catchmentSettings?: Record<string, any>;
}

interface Navigator {
  globalPrivacyControl?: boolean;
}

interface Document {
  prerendering?: boolean;
}
