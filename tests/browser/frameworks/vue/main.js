import { createApp } from "vue";
import { createRouter, createWebHistory } from "vue-router";
import App from "./App.vue";
import Page from "./Page.vue";

const router = createRouter({
  history: createWebHistory(),
  routes: [
    { path: "/", component: Page, meta: { title: "Home" } },
    { path: "/beans", component: Page, meta: { title: "Beans" } },
    { path: "/beans/harbour", component: Page, meta: { title: "Harbour" } },
    { path: "/old", redirect: "/beans" },
  ],
});

router.afterEach((to) => {
  document.title = to.meta.title;
});

createApp(App).use(router).mount("#app");
