"""The one record that flows through everything: k draws and what they cost."""

from dataclasses import dataclass
from functools import cached_property

from torch import Tensor
from torch.distributions import Distribution, kl_divergence

from zoo.errors import NoClosedForm


@dataclass(frozen=True)
class Draw:
    r"""k draws :math:`z_i \sim q(z|x)` for each example of a batch, and what they cost, in nats.

    Objectives, metrics and callbacks are functions of this record, so none of them needs a second forward pass.

    Args:
        q: The proposal :math:`q(z|x)`: batch (B,), event (D,); batch (1,) where the examples share their draws.
        p: The prior :math:`p(z)`: batch (), event (D,).
        z: The draws, (k, B, D); (k, 1, D) where the examples share them.
        log_px: :math:`\log p(x|z)`, (k, B).

    Example:
        >>> import zoo, torch
        >>> model = zoo.BernoulliVAE(x_shape=(1, 5, 4), latent_dim=3)
        >>> draw = model.draw(torch.ones(7, 1, 5, 4), k=2)
        >>> draw.z.shape, draw.log_w.shape, draw.kl.shape
        (torch.Size([2, 7, 3]), torch.Size([2, 7]), torch.Size([7]))
    """

    q: Distribution
    p: Distribution
    z: Tensor
    log_px: Tensor

    @cached_property
    def log_ratio(self) -> Tensor:
        r""":math:`\log p(z) - \log q(z|x)`, (k, B): minus the one-draw estimate of the KL term."""
        return (self.p.log_prob(self.z) - self.q.log_prob(self.z)).expand_as(self.log_px)

    @cached_property
    def log_w(self) -> Tensor:
        r"""The one log-weight of every objective and estimate, (k, B).

        .. math:: \log w_i = \log p(x|z_i) + \log p(z_i) - \log q(z_i|x)
        """
        return self.log_px + self.log_ratio

    @cached_property
    def kl(self) -> Tensor:
        r""":math:`\mathrm{KL}(q(z|x) \,\|\, p(z))` in closed form, (B,).

        Raises:
            NoClosedForm: This pair of distributions has no closed form; it is not replaced by an estimate.
        """
        try:
            return kl_divergence(self.q, self.p).expand(self.log_px.shape[1])
        except NotImplementedError as error:
            raise NoClosedForm(
                f"the KL term between {type(self.q).__name__} and {type(self.p).__name__} has no closed form: "
                "take the KL term from the draws, with closed_form_kl=False (--model.closed_form_kl=false)."
            ) from error
