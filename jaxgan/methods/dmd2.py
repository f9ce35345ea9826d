"""DMD2: a flow-matching teacher distilled into a generator of one step."""

import jax
import jax.numpy as jnp
import optax
from flax import traverse_util

from jaxgan.errors import UserError
from jaxgan.inputs import Latents
from jaxgan.losses import Loss, non_saturating
from jaxgan.methods.batches import real_images
from jaxgan.methods.flow_matching import add_noise, denoise, flow_matching_loss
from jaxgan.methods.from_latents import make_generate, one_of_each
from jaxgan.methods.method import Method
from jaxgan.methods.monitors import adversarial_metrics, diversity
from jaxgan.methods.players import make_init
from jaxgan.network import NetworkLike
from jaxgan.state import Player, PyTree, TrainState
from jaxgan.step import Aux, Context, apply_eval, apply_train, local_key

__all__ = ["distribution_matching", "dmd2"]


def dmd2(
    student: NetworkLike,
    critic: NetworkLike,
    teacher: NetworkLike,
    *,
    teacher_variables: PyTree,
    latent_dim: int,
    gan_weight: float = 3e-3,
    critic_gan_weight: float = 1e-2,
    loss: Loss = non_saturating,
    times: tuple[float, float] = (0.02, 0.98),
    axis_name: str | None = None,
) -> Method:
    """Distribution matching, with an adversarial term.

    The student G makes an image of noise at once. A second flow, the critic's v, follows the
    distribution of its images as it changes, and D judges noisy images by the critic's features:

        L_D = E|v(x_t, t) - (e - x)|^2 of x = G(z), + c L_D(D(x_t) of real x, D(x_t) of x = G(z))
        L_G = 1/2 E|G(z) - sg(G(z) - d)|^2, + w L_G(D(x_t)), of x = G(z)

    d is the gradient of the divergence KL(student || teacher) of noisy images, each image's scaled
    by how far the teacher takes it from where it is: see `distribution_matching`. Time and noise
    are drawn anew for each of the players' losses; t ~ U[0, 1] for the critic, and U[times] for
    the student.

    Both begin as the teacher: the parameters that it has, theirs have by the same names. The paper
    updates the critic five times for each update of the student, which is `disc_steps`.

    Differs from the authors' code: the teacher is a flow and not a denoiser of EDM, so the critic's
    loss has no weights by time; one pass of the critic over a noisy image gives both its velocity
    and its logit, where theirs draws other noise for the logit; and the student is updated after
    the critic and not before it.

    Args:
      student: `networks.OneStepUNet`, or a network (latents (B, latent_dim)) -> images.
      critic: `networks.VelocityCritic`, or a network (x_t (B, H, W, C), t (B,)) -> (velocities as
        x_t, logits (B,)).
      teacher: `networks.VelocityUNet`, or a network (x_t, t) -> velocities.
      teacher_variables: its trained ones, which `init` puts a copy of into the state.
      latent_dim: size of the latents, N(0, I).
      gan_weight: w; 0 leaves out the adversarial term, and D with it.
      critic_gan_weight: c.
      loss: from `jaxgan.losses`.
      times: the range of t at which the student is compared with the teacher.
      axis_name: the mapped axis inside `pmap` or `shard_map`.

    Returns:
      A `Method` on batches {"image": (B, H, W, C) float32}, for a state with `extra` {"teacher":
      variables}. Its metrics are `flow_matching_loss`, of the critic; `distribution_matching`, the
      first term of L_G; `diversity`; with the adversarial term those of `adversarial_metrics`, of
      noisy images, and its two sides, `discriminator_loss_gan` and `generator_loss_gan`.

    Raises:
      UserError: a negative weight, times out of (0, 1), a loss that shows the generator real
        images; by `init`, a student or a critic that lacks parameters of the teacher, or makes
        images of another shape than the batch's; while tracing, a batch without images.

    Examples:
      >>> from jaxgan import networks
      >>> teacher = networks.VelocityUNet(width=8)
      >>> variables = teacher.init(jax.random.key(0), jnp.zeros((1, 28, 28, 1)), jnp.zeros(1))
      >>> method = dmd2(
      ...     networks.OneStepUNet(width=8),
      ...     networks.VelocityCritic(width=8),
      ...     teacher,
      ...     teacher_variables=variables,
      ...     latent_dim=28 * 28,
      ... )

    Source: Yin et al. 2024, "Improved Distribution Matching Distillation for Fast Image
    Synthesis", sections 4.2 and 4.3; `main/edm/edm_guidance.py` of github.com/tianweiy/DMD2 for
    the weights.
    """
    for name, weight in {"gan_weight": gan_weight, "critic_gan_weight": critic_gan_weight}.items():
        if not weight >= 0:
            raise UserError(f"{name}: got {weight}, expected a number of at least 0")
    if not 0 < times[0] <= times[1] < 1:
        raise UserError(f"times: got {times}, expected a range between 0 and 1")
    if loss.generator_sees_real:
        raise UserError("loss: got one that shows the generator real images, expected another")
    inputs = {"latents": Latents(latent_dim)}
    generate = make_generate(student, inputs["latents"], lambda batch: (), axis_name)

    def judge(disc_vars: PyTree, images: jax.Array, key: jax.Array, times=(0.0, 1.0)):
        """(noisy images, velocities, logits, new model state) of images at times drawn anew."""
        noise_key, key = jax.random.split(key)
        noised = add_noise(images, noise_key, times, axis_name=axis_name)
        (velocity, logits), model_state = apply_train(
            critic, disc_vars, noised.images, noised.times, key=local_key(key, axis_name)
        )
        return noised, velocity, logits, model_state

    def disc_loss(disc_vars: PyTree, fakes: jax.Array, batch: PyTree, context: Context):
        images = real_images(batch, fakes)
        real_key, fake_key = jax.random.split(context.key)
        noised, velocity, fake_logits, model_state = judge(disc_vars, fakes, fake_key)
        flow = flow_matching_loss(velocity, fakes, noised.noise)
        metrics = {
            "flow_matching_loss": flow,
            "diversity": diversity(images, fakes, axis_name),
        }
        if not gan_weight:
            return flow, Aux(model_state, metrics)
        disc_vars = {**disc_vars, **model_state}
        _, _, real_logits, model_state = judge(disc_vars, images, real_key)
        real, fake = loss.discriminator(real_logits, fake_logits)
        metrics |= adversarial_metrics(loss, real_logits, fake_logits)
        metrics["discriminator_loss_gan"] = real + fake
        return flow + critic_gan_weight * (real + fake), Aux(model_state, metrics)

    def gen_loss(
        gen_vars: PyTree, disc_vars: PyTree, fakes: jax.Array, batch: PyTree, context: Context
    ):
        noised, velocity, logits, _ = judge(disc_vars, fakes, context.key, times)
        given = jax.lax.stop_gradient(noised.images), noised.times
        real_velocity = apply_eval(teacher, context.extra["teacher"], *given)
        direction = distribution_matching(fakes, *given, real_velocity, velocity)
        # Half the square of what is held fixed has just this gradient.
        aim = jax.lax.stop_gradient(fakes - direction)
        total = 0.5 * jnp.mean(jnp.square(fakes - aim))
        metrics = {"distribution_matching": total}
        if gan_weight:
            metrics["generator_loss_gan"] = loss.generator(logits)
            total += gan_weight * metrics["generator_loss_gan"]
        return total, Aux(None, metrics)

    def examples(batch: PyTree):
        image = jnp.zeros((1, *batch["image"].shape[1:]))
        return one_of_each(inputs), (image, jnp.zeros(1))

    def make_extra():
        # A copy, since a donated state must not hold what the caller goes on using.
        return {"teacher": jax.tree.map(jnp.array, dict(teacher_variables))}

    def is_right(shapes) -> bool:
        return isinstance(shapes, tuple) and len(shapes) == 2 and shapes[1] == (1,)

    start = make_init(student, critic, examples, is_right, "velocities and a logit", make_extra)

    def init(
        key: jax.Array,
        batch: PyTree,
        gen_tx: optax.GradientTransformation,
        disc_tx: optax.GradientTransformation,
        *,
        ema: bool = False,
    ) -> TrainState:
        state = start(key, batch, gen_tx, disc_tx, ema=ema)
        known = teacher_variables["params"]
        return state.replace(
            generator=_begin_as(known, state.generator, "student"),
            discriminator=_begin_as(known, state.discriminator, "critic"),
        )

    return Method(generate, disc_loss, gen_loss, init, inputs=inputs)


def distribution_matching(
    images: jax.Array,
    noised: jax.Array,
    times: jax.Array,
    real_velocity: jax.Array,
    fake_velocity: jax.Array,
) -> jax.Array:
    """The gradient by which generated images come to be distributed as the teacher's.

        d = (E_fake[x | x_t] - E_real[x | x_t]) / mean |x - E_real[x | x_t]|
          = t^2 / (1 - t) (grad log p_fake(x_t) - grad log p_real(x_t)) / mean |x - E_real[x | x_t]|

    The expectation of grad log p_fake - grad log p_real, times the derivative of x_t by the
    student's parameters, is the gradient of KL(p_fake || p_real) at time t. The mean is over the
    pixels of an image: so all times weigh alike.

    Args:
      images: x, generated, (B, H, W, C) float.
      noised: x_t of them.
      times: t, (B,).
      real_velocity: the teacher's of x_t.
      fake_velocity: that of a network which has learnt the generated images.

    Returns:
      As the images, without a gradient of its own.

    Examples:
      >>> x, t = jnp.full((1, 1, 1, 1), 2.0), jnp.full(1, 0.5)
      >>> print(distribution_matching(x, x, t, jnp.full_like(x, 2.0), jnp.zeros_like(x)).item())
      1.0

    Source: Yin et al. 2024, "One-step Diffusion with Distribution Matching Distillation",
    equations 7 and 8.
    """
    images, fake_velocity = map(jax.lax.stop_gradient, (images, fake_velocity))
    real = denoise(noised, real_velocity, times)
    fake = denoise(noised, fake_velocity, times)
    axes = tuple(range(1, images.ndim))
    scale = jnp.mean(jnp.abs(images - real), axis=axes, keepdims=True)
    # Where the teacher leaves an image as it is there may be nothing to divide by.
    return jax.lax.stop_gradient((fake - real) / jnp.maximum(scale, 1e-6))


def _begin_as(known: PyTree, player: Player, name: str) -> Player:
    """The player with the teacher's parameters, each in the place of its own of that name."""
    own = traverse_util.flatten_dict(player.params)
    given = traverse_util.flatten_dict(known)
    for path, leaf in given.items():
        if path not in own or own[path].shape != leaf.shape:
            got = f"shape {own[path].shape}" if path in own else "none"
            raise UserError(
                f"{name}: got {got} for {'/'.join(path)}, expected shape {leaf.shape}, as it has "
                "in the teacher"
            )
    params = traverse_util.unflatten_dict(
        {**own, **{path: jnp.array(leaf) for path, leaf in given.items()}}
    )
    averaged = None if player.ema_params is None else jax.tree.map(jnp.copy, params)
    return player.replace(params=params, ema_params=averaged)
