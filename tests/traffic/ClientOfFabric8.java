// What the Java client of fabric8 is asked to do while it is recorded; see record.py.

import io.fabric8.kubernetes.api.model.*;
import io.fabric8.kubernetes.client.*;
import io.fabric8.kubernetes.client.Config;
import io.fabric8.kubernetes.client.Watcher.Action;
import io.fabric8.kubernetes.client.dsl.base.*;
import java.io.ByteArrayOutputStream;
import java.util.List;
import java.util.concurrent.Callable;

public class ClientOfFabric8 {
  static final String NAMESPACE = System.getenv("NAMESPACE"), NAME = "fabric8";

  static ConfigMap configMap() {
    return new ConfigMapBuilder()
        .withNewMetadata().withName(NAME).withNamespace(NAMESPACE).addToLabels("of", NAME)
        .endMetadata().addToData("a", "ä").build();
  }

  static Object watch(KubernetesClient client) throws Exception {
    Watcher<ConfigMap> watcher = new Watcher<>() {
      public void eventReceived(Action action, ConfigMap of) {}
      public void onClose(WatcherException cause) {}
    };
    try (Watch watch = client.configMaps().inNamespace(NAMESPACE).watch(watcher)) {
      Thread.sleep(500);
    }
    return client.secrets().inNamespace(NAMESPACE).runnableInformer(0).start();
  }

  static List<Callable<?>> steps(KubernetesClient client) {
    var maps = client.configMaps().inNamespace(NAMESPACE);
    var pod = client.pods().inNamespace(NAMESPACE).withName("web");
    var main = pod.inContainer("main");
    var none = new ByteArrayOutputStream();
    var one = maps.withName(NAME);
    var first = new ListOptionsBuilder().withLimit(1L).build();
    return List.of(
        client::getKubernetesVersion, client::rootPaths, client::getApiGroups,
        () -> client.getApiResources("apps/v1"),
        () -> maps.resource(configMap()).create(),
        one::get,
        () -> maps.resource(configMap()).update(),
        () -> one.edit(map -> new ConfigMapBuilder(map).addToData("e", "f").build()),
        () -> one.patch(PatchContext.of(PatchType.JSON_MERGE), "{\"data\":{\"m\":\"n\"}}"),
        () -> one.patch(PatchContext.of(PatchType.STRATEGIC_MERGE), "{\"data\":{\"s\":\"t\"}}"),
        () -> maps.resource(configMap()).forceConflicts().serverSideApply(),
        () -> maps.withLabelIn("of", NAME, "x").withoutLabel("y").list(first),
        () -> client.pods().inAnyNamespace().withField("spec.nodeName", "x").list(),
        () -> client.genericKubernetesResources("v1", "ConfigMap").inNamespace(NAMESPACE).list(),
        () -> client.raw("/readyz?verbose"),
        () -> watch(client),
        () -> main.tailingLines(3).withPrettyOutput().getLog(),
        () -> main.watchLog(none),
        () -> client.pods().inNamespace(NAMESPACE).withName("none").evict(),
        () -> main.redirectingInput().writingOutput(none).exec("sh", "-c", "echo 'a b' ä"),
        () -> main.redirectingInput().writingOutput(none).withTTY().attach(),
        () -> pod.portForward(80, java.nio.channels.Channels.newChannel(System.in), null),
        () -> client.apps().deployments().inNamespace(NAMESPACE).withName("none").scale(1),
        () -> one.withPropagationPolicy(DeletionPropagation.FOREGROUND).delete(),
        () -> maps.withLabel("of", NAME).delete());
  }

  public static void main(String[] arguments) {
    Config config = Config.autoConfigure(null);
    config.setRequestRetryBackoffLimit(0);
    try (var client = new KubernetesClientBuilder().withConfig(config).build()) {
      for (Callable<?> step : steps(client)) {
        try {
          step.call();
        } catch (Exception error) {
          System.err.println(error.getMessage());
        }
      }
    }
    System.exit(0);
  }
}
