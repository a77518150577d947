// What the JavaScript client is asked to do while it is recorded; see record.py.

import { PassThrough } from "node:stream";
import * as k8s from "@kubernetes/client-node";

const namespace = "default";
const name = "node";
const metadata = { name, labels: { of: name } };
const config = new k8s.KubeConfig();
config.loadFromDefault();
const api = (kind) => config.makeApiClient(kind);
const core = api(k8s.CoreV1Api);
const none = new PassThrough();

const patches = [
  [k8s.PatchStrategy.JsonPatch, [{ op: "add", path: "/data/j", value: "k" }]],
  [k8s.PatchStrategy.MergePatch, { data: { m: "n" } }],
  [k8s.PatchStrategy.StrategicMergePatch, { data: { s: "t" } }],
  [k8s.PatchStrategy.ServerSideApply, { apiVersion: "v1", kind: "ConfigMap", metadata: { name } }],
];
const selected = { namespace, labelSelector: "of in (node, x),!y", limit: 1 };
const deployment = {
  apiVersion: "apps/v1",
  kind: "Deployment",
  metadata: { name, namespace },
  spec: {
    replicas: 0,
    selector: { matchLabels: { of: name } },
    template: { metadata, spec: { containers: [{ name, image: "x" }] } },
  },
};

const steps = [
  () => api(k8s.VersionApi).getCode(),
  () => api(k8s.CoreApi).getAPIVersions(),
  () => api(k8s.ApisApi).getAPIVersions(),
  () => api(k8s.AppsApi).getAPIGroup(),
  () => api(k8s.AppsV1Api).getAPIResources(),
  () => api(k8s.OpenidApi).getServiceAccountIssuerOpenIDKeyset(),
  () => api(k8s.WellKnownApi).getServiceAccountIssuerOpenIDConfiguration(),
  () => core.createNamespacedConfigMap({ namespace, body: { metadata, data: { a: "ä" } } }),
  () => core.readNamespacedConfigMap({ namespace, name, pretty: "true" }),
  () => core.replaceNamespacedConfigMap({ namespace, name, body: { metadata } }),
  ...patches.map(([type, body]) => () =>
    core.patchNamespacedConfigMap(
      { namespace, name, body, fieldManager: "a b", force: body.kind && true },
      k8s.setHeaderOptions("Content-Type", type),
    ),
  ),
  () => core.listNamespacedConfigMap(selected),
  () => core.listPodForAllNamespaces({ fieldSelector: "spec.nodeName=x" }),
  () => k8s.KubernetesObjectApi.makeApiClient(config).create(deployment, "true", "All"),
  () => k8s.KubernetesObjectApi.makeApiClient(config).list("v1", "ConfigMap", namespace),
  () => api(k8s.AppsV1Api).readNamespacedDeploymentScale({ namespace, name }),
  () =>
    core.createNamespacedServiceAccountToken({ name: namespace, namespace, body: { spec: {} } }),
  watch,
  inform,
  () => new k8s.Log(config).log(namespace, "none", "main", none, { follow: true, tailLines: 3 }),
  () => exec(["sh", "-c", "echo 'a b' ä; exit 3"]),
  () => new k8s.Attach(config).attach(namespace, "none", "main", none, none, none, true),
  () => new k8s.PortForward(config).portForward(namespace, "none", [80], none, none, none),
  () => core.deleteNamespacedConfigMap({ namespace, name, body: { gracePeriodSeconds: 0 } }),
  () => core.deleteCollectionNamespacedConfigMap({ namespace, labelSelector: "of=node" }),
];

async function watch() {
  const path = `/api/v1/namespaces/${namespace}/configmaps`;
  const options = { allowWatchBookmarks: true, timeoutSeconds: 1 };
  await new Promise((ended) => new k8s.Watch(config).watch(path, options, () => {}, ended));
}

async function inform() {
  const list = () => core.listNamespacedSecret({ namespace });
  const informer = k8s.makeInformer(config, `/api/v1/namespaces/${namespace}/secrets`, list);
  informer.on("error", () => {});
  await informer.start();
  await new Promise((later) => setTimeout(later, 500));
  await informer.stop();
}

function exec(command) {
  const of = new k8s.Exec(config);
  return of.exec(namespace, "none", "main", command, none, none, none, true, () => {});
}

for (const step of steps) {
  try {
    await step();
  } catch (error) {
    console.error(error.code ?? error.message);
  }
}
process.exit(0);
